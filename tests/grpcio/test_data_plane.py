"""Every call of the data plane as a client without our code makes it."""

import grpc
import pytest
from conftest import JOB, PROTOCOL, floats, parted, received, values

ELEMENTS = 5


def refused(call, code, *words):
    with pytest.raises(grpc.RpcError) as refusal:
        call()
    assert refusal.value.code() == code, refusal.value
    for word in words:
        assert word in refusal.value.details(), refusal.value.details()


def test_a_server_says_what_it_serves(client):
    services = client.reflection.get_services()
    assert {"ps.v1.DataPlane", "ps.v1.ShardControl", "grpc.health.v1.Health"} <= set(services)
    assert "ps.v1.Master" not in services


def test_weights_are_pulled_with_nothing_but_reflection(client):
    client.init(ELEMENTS)
    assert values(client.pull()) == [0.0] * ELEMENTS


def test_a_server_describes_itself_and_its_model(client):
    described = client.call("Describe", client.message("DescribeRequest", job=JOB, protocol=PROTOCOL))
    assert not described.HasField("model") and not described.has_master
    assert client.init(ELEMENTS).created
    assert not client.init(ELEMENTS).created
    described = client.call("Describe", client.message("DescribeRequest", job=JOB, protocol=PROTOCOL))
    assert [(t.name, list(t.shape)) for t in described.model.tensors] == [("w", [ELEMENTS])]
    assert described.model.optimizer.name == "sgd"
    assert described.counters.weight_bytes == 4 * ELEMENTS


def test_a_push_is_applied_once_however_often_it_comes(client):
    client.init(ELEMENTS)
    gradient = floats([1.0, 2.0, 3.0, 4.0, 5.0])
    assert not client.push(0, gradient).duplicate
    assert client.push(0, gradient).duplicate
    assert values(client.pull()) == [-1.0, -2.0, -3.0, -4.0, -5.0]


def test_one_call_pushes_and_pulls(client):
    client.init(ELEMENTS)
    replies = client.call("PushPull", client.push_messages(0, floats([1.0] * ELEMENTS)))
    push, pull = parted(replies)
    assert not push.duplicate
    assert values(received(pull)) == [-1.0] * ELEMENTS


def test_many_pushes_share_a_call(client):
    client.init(ELEMENTS)
    pushes = [client.push_messages(seq, floats([1.0] * ELEMENTS)) for seq in range(50)]
    replies = client.call("PushMany", [message for push in pushes for message in push])
    applied = [reply.applied for reply in replies]
    assert applied == sorted(applied) and applied[-1] == 50
    assert values(client.pull()) == [-50.0] * ELEMENTS


def test_messages_of_4_mib_pass(client):
    # Sixteen chunks of 256 KiB and one more: messages of 3.75 MiB, and of what is left.
    elements = 17 * 64 * 1024
    client.init(elements)
    gradient = floats([float(i % 1000) for i in range(elements)])
    messages = client.push_messages(0, gradient)
    assert 3.7 * 2**20 < max(message.ByteSize() for message in messages) <= 4 * 2**20
    replies = client.call("PushPull", messages)
    expected = floats([-float(i % 1000) for i in range(elements)])
    # 0.0 - 0.0 and -0.0 are equal, but not alike.
    _, pull = parted(replies)
    assert values(received(pull)) == values(expected)
    assert client.pull() == received(pull)


def test_a_message_above_4_mib_is_refused(client):
    client.init(ELEMENTS)
    message = client.push_messages(0, floats([0.0] * ELEMENTS))[0]
    message.chunks.extend(client.payloads([bytes(256 * 1024)] * 17))
    too_large = (grpc.StatusCode.OUT_OF_RANGE, grpc.StatusCode.RESOURCE_EXHAUSTED)
    with pytest.raises(grpc.RpcError) as refusal:
        client.call("Push", [message])
    assert refusal.value.code() in too_large, refusal.value
    assert values(client.pull()) == [0.0] * ELEMENTS


def test_an_unknown_encoding_is_refused_in_words(client):
    client.init(ELEMENTS)
    gradient = floats([1.0] * ELEMENTS)
    invalid = grpc.StatusCode.INVALID_ARGUMENT
    refused(lambda: client.push(0, gradient, encoding=77), invalid, "encoding", "77")
    refused(lambda: client.pull(encoding=77), invalid, "encoding", "77")
    assert values(client.pull()) == [0.0] * ELEMENTS


def test_another_job_is_refused_in_words(client):
    client.init(ELEMENTS)
    denied = grpc.StatusCode.PERMISSION_DENIED
    words = (JOB, "stray", "--job-id")
    gradient = floats([1.0] * ELEMENTS)
    refused(lambda: client.push(0, gradient, job="stray"), denied, *words)
    refused(lambda: client.pull(job="stray"), denied, *words)
    refused(lambda: client.init(ELEMENTS, job="stray"), denied, *words)
    assert values(client.pull()) == [0.0] * ELEMENTS
