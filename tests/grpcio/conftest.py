"""A server of its own for every test, and a client that knows of the calls what the server tells."""

import os
import queue
import struct
import subprocess
import threading
import zlib

import grpc
import pytest
from google.protobuf import descriptor_pool, message_factory
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import (
    ProtoReflectionDescriptorDatabase,
)

JOB = "grpcio"
PROTOCOL = 3
F32 = 1
TRAINABLE = 1
CHUNK_BYTES = 256 * 1024
PATIENCE_S = 20


def floats(values):
    """Values as the wire carries them: little-endian, whatever this machine is."""
    return struct.pack(f"<{len(values)}f", *values)


def values(data):
    return list(struct.unpack(f"<{len(data) // 4}f", data))


class Client:
    """Calls a server through its own descriptors; nothing here was compiled from a proto."""

    def __init__(self, address):
        limit = 5 * 1024 * 1024
        options = [("grpc.max_receive_message_length", limit)]
        self.channel = grpc.insecure_channel(address, options)
        self.reflection = ProtoReflectionDescriptorDatabase(self.channel)
        self.pool = descriptor_pool.DescriptorPool(self.reflection)

    def message(self, kind, /, **fields):
        descriptor = self.pool.FindMessageTypeByName(f"ps.v1.{kind}")
        return message_factory.GetMessageClass(descriptor)(**fields)

    def call(self, method, requests):
        """A call with one request, or a list of them; the reply, or all replies of a stream."""
        service = self.pool.FindServiceByName("ps.v1.DataPlane")
        found = service.FindMethodByName(method)
        path = f"/{service.full_name}/{method}"
        reply = message_factory.GetMessageClass(found.output_type)
        kinds = {
            (False, False): self.channel.unary_unary,
            (False, True): self.channel.unary_stream,
            (True, False): self.channel.stream_unary,
            (True, True): self.channel.stream_stream,
        }
        make = kinds[found.client_streaming, found.server_streaming]
        call = make(path, lambda message: message.SerializeToString(), reply.FromString)
        request = iter(requests) if found.client_streaming else requests
        answer = call(request, timeout=PATIENCE_S)
        return list(answer) if found.server_streaming else answer

    def init(self, elements, job=JOB):
        """Creates a model of one tensor of zeros, with plain SGD."""
        chunks = chunked(floats([0.0] * elements))
        optimizer = self.message("Optimizer", name="sgd")
        tensor = self.message("Tensor", name="w", shape=[elements], kind=TRAINABLE)
        model = self.message(
            "ModelSpec",
            tensors=[tensor],
            optimizer=optimizer,
            correction=1,
            shards=1,
            chunk_elements=CHUNK_BYTES // 4,
        )
        digest = zlib.crc32(b"".join(chunks))
        header = self.message(
            "InitHeader", job=job, protocol=PROTOCOL, model=model, start_digest=digest
        )
        payloads = self.payloads(chunks)
        # The header alone, then the weights.
        messages = [self.message("InitMessage", header=header)]
        messages += self.rest("InitMessage", payloads, 0)
        return self.call("Init", messages)[-1]

    def payloads(self, chunks):
        return [self.message("ChunkPayload", index=i, values=v) for i, v in enumerate(chunks)]

    def rest(self, name, payloads, begin):
        later = range(begin, len(payloads), PER_MESSAGE)
        return [self.message(name, chunks=payloads[at : at + PER_MESSAGE]) for at in later]

    def push_messages(self, seq, gradient, job=JOB, encoding=F32):
        """A push of the whole model by worker 0 at rate 1, in as large messages as there can be."""
        payloads = self.payloads(chunked(gradient))
        header = self.message(
            "PushHeader",
            job=job,
            protocol=PROTOCOL,
            id=self.message("PushId", worker=0, incarnation=1, seq=seq),
            oldest_unacknowledged_seq=seq,
            clock=seq,
            learning_rate=1.0,
            kind=TRAINABLE,
            chunks_total=len(payloads),
            encoding=encoding,
        )
        first = self.message("PushMessage", header=header, chunks=payloads[:PER_MESSAGE])
        return [first, *self.rest("PushMessage", payloads, PER_MESSAGE)]

    def push(self, seq, gradient, **fields):
        return self.call("Push", self.push_messages(seq, gradient, **fields))

    def pull(self, job=JOB, encoding=F32):
        replies = self.call(
            "Pull",
            self.message("PullRequest", job=job, protocol=PROTOCOL, encoding=encoding),
        )
        return received(replies)


# 4 MiB is the most that a message may have: fifteen chunks and their headers, not sixteen.
PER_MESSAGE = 15


def chunked(data):
    """A shard's values in its chunks: all of one size, but for the last."""
    return [data[at : at + CHUNK_BYTES] for at in range(0, len(data), CHUNK_BYTES)]


def parted(replies):
    """The acknowledgement and the pull of a PushPull, which may come in any order."""
    pushes = [reply.push for reply in replies if reply.WhichOneof("kind") == "push"]
    assert len(pushes) == 1
    return pushes[0], [reply.pull for reply in replies if reply.WhichOneof("kind") == "pull"]


def received(messages):
    """The values of a pull; with a push its chunks come in the order in which they are ready."""
    chunks = sorted((c for message in messages for c in message.chunks), key=lambda c: c.index)
    numbers = [c.index + i for c in chunks for i in range(max(c.chunks, 1))]
    assert numbers == list(range(messages[0].header.chunks_total))
    return b"".join(chunk.values for chunk in chunks)


@pytest.fixture
def client():
    command = [os.environ["PS_TEST_SERVER"], "--shard", "0", "--listen", "127.0.0.1:0"]
    server = subprocess.Popen([*command, "--job-id", JOB], stdout=subprocess.PIPE, text=True)
    try:
        client = Client(listening(server))
        yield client
        client.channel.close()
        assert server.poll() is None, "the server died"
    finally:
        server.kill()
        server.wait()


def listening(server):
    lines = queue.Queue()
    threading.Thread(target=lambda: lines.put(server.stdout.readline()), daemon=True).start()
    line = lines.get(timeout=PATIENCE_S)
    fields = dict(field.split("=") for field in line.strip().strip(";").split("; "))
    return fields["listening"]
