"""The client of examples/python, which people copy, on several servers."""

import os
import pathlib
import subprocess
import sys

import pytest
from conftest import JOB, listening

REPOSITORY = pathlib.Path(__file__).resolve().parents[2]
CLIENT = REPOSITORY / "examples/python/async_client.py"
sys.path.insert(0, str(CLIENT.parent))

import async_client  # noqa: E402


def rows():
    """The rows of the page's table about the grid."""
    lines = (REPOSITORY / "docs/wire.md").read_text().splitlines()
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines if line.startswith("| ")]
    return [row for row in cells if len(row) == 5 and row[0].isdigit()]


def test_the_clients_grid_is_the_pages():
    trainable_only = [row for row in rows() if row[1] == "0"]
    assert len(trainable_only) >= 6
    for elements, _, servers, chunk, firsts in trainable_only:
        found = async_client.grid(int(elements), int(servers))
        assert found == (int(chunk), [int(first) for first in firsts.split(",")])


@pytest.fixture
def servers():
    def start(shard):
        command = [os.environ["PS_TEST_SERVER"], "--shard", str(shard), "--listen", "127.0.0.1:0", "--job-id", JOB]
        return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)

    started = [start(shard) for shard in range(3)]
    try:
        yield [listening(server) for server in started]
    finally:
        for server in started:
            server.kill()
            server.wait()


def worker(addresses, index, workers):
    told = {
        "PS_SERVER_ADDRESSES": ",".join(addresses),
        "PS_JOB_ID": JOB,
        "PS_WORKER_INDEX": str(index),
        "PS_WORKERS": str(workers),
    }
    return subprocess.Popen([sys.executable, str(CLIENT)], env={**os.environ, **told}, stdout=subprocess.PIPE, text=True)


def test_workers_train_one_model_on_several_servers(servers):
    # In another order than the shards': the client asks who is who.
    addresses = [servers[2], servers[0], servers[1]]
    running = [worker(addresses, index, 2) for index in range(2)]
    outputs = [process.communicate(timeout=100)[0] for process in running]
    assert [process.returncode for process in running] == [0, 0]
    # 400 steps of 50 of 1000 weights, each halving its error: what is left is what no step has touched since.
    distances = [float(output.split("distance=")[1].split(";")[0]) for output in outputs]
    assert min(distances) < 0.01, outputs
    # Each step is one push, once on every server.
    client = async_client.Servers(addresses, job=JOB)
    describe = client.message("DescribeRequest", **client.job)
    counters = [client.call(channel, "Describe", describe).counters for channel in client.channels]
    assert [counter.pushes_applied for counter in counters] == [400, 400, 400]
    # A later run of worker 0 is another incarnation: it goes on where the first ended.
    again = worker(addresses, 0, 1)
    output = again.communicate(timeout=100)[0]
    assert again.returncode == 0 and float(output.split("distance=")[1].split(";")[0]) < 0.001, output
