"""Hosts that cannot do their part, or are lost, as containers: everybody ends soon, with the reason."""

import os
import threading
import time
from datetime import datetime

import pytest
from cluster import docker
from conftest import IMAGE


def seconds(cluster, field):
    """A time of each host, in seconds, as its engine has it."""
    for host in cluster.hosts:
        text = docker("inspect", "--format", "{{.State." + field + "}}", cluster.container(host))
        # Nanoseconds are more than Python reads.
        yield datetime.fromisoformat(text.rstrip("Z")[:26] + "+00:00").timestamp()


def took(cluster):
    """From when the last host was there to when the last one had ended."""
    return max(seconds(cluster, "FinishedAt")) - max(seconds(cluster, "StartedAt"))


def expect_failed(cluster, words):
    assert set(cluster.wait(60).values()) == {1}, cluster.logs()
    for host in cluster.hosts:
        failure = cluster.failure(host) or ""
        for word in words:
            assert word in failure, f"{host}: no {word!r} in {failure!r}\n{cluster.logs()}"


def table(folder):
    folder.mkdir()
    rows = "".join(f"{row},{row % 7},{row % 2}\n" for row in range(40))
    for name in ("train", "test"):
        (folder / f"{name}.csv").write_text(rows)
    return folder


# Slow where an engine starts containers far apart: a host that comes when the others are gone waits for their names.
@pytest.mark.slow
def test_a_model_that_cannot_be_built_ends_all_hosts_with_its_reason(job, tmp_path):
    cluster = job(hyperparameters={"model": "lenet"}, data={"training": table(tmp_path / "csv")})
    cluster.start()
    expect_failed(cluster, ["lenet"])
    print(f"unbuilt_s={took(cluster):.2f};")
    assert took(cluster) < 20


@pytest.mark.slow
@pytest.mark.parametrize("host", ["algo-1", "algo-3"])
def test_a_port_that_is_taken_ends_all_hosts_with_its_reason(job, host):
    cluster = job(hyperparameters={"server_port": "2223"})
    # Somebody else in the host's network, who was there first.
    holder = f"{cluster.name}-holder"
    docker("run", "--detach", "--name", holder, "--network", cluster.name, "--network-alias", host,
           IMAGE, "train", "ps-server", "--shard", "0", "--listen", "0.0.0.0:2223")
    try:
        cluster.networks[host] = f"container:{holder}"
        cluster.start()
        expect_failed(cluster, [host, "server", "2223", "in use"])
    finally:
        docker("rm", "--force", holder, check=False)
    print(f"port_taken_s={took(cluster):.2f};")
    assert took(cluster) < 5, took(cluster)


def test_a_host_that_is_killed_is_a_failure_of_all_others(job):
    cluster = job(hyperparameters={"passes": "5000", "hidden": "256"}).start()
    cluster.wait_for("algo-1", "pass=1;")
    docker("kill", cluster.container("algo-2"))
    began = time.monotonic()
    codes = cluster.wait(60)
    assert codes == {"algo-1": 1, "algo-2": 137, "algo-3": 1}, cluster.logs()
    print(f"host_killed_s={time.monotonic() - began:.2f};")
    for host in ("algo-1", "algo-3"):
        failure = cluster.failure(host)
        assert "algo-2" in failure, failure
    # Its psrun was gone a moment before its server, which told of it; or only silence tells.
    assert "server shard 1" in cluster.failure("algo-1"), cluster.failure("algo-1")


LATE = [
    # Longer than these starts and steps may take.
    pytest.param(12, {"start_timeout_s": "5", "step_timeout_s": "4"}, id="short"),
    # Longer than any start and any step may take by default.
    pytest.param(360, {}, id="six-minutes", marks=pytest.mark.slow),
]


@pytest.mark.parametrize("late_s, limits", LATE)
def test_data_that_come_late_are_waited_for(job, late_s, limits):
    channels = {"training": {"TrainingInputMode": "Pipe", "ContentType": "text/csv"}}
    cluster = job(channels=channels, data={},
                  hyperparameters={"passes": "1", "classes": "2", **limits})
    rows = "".join(f"{row % 7},{row % 2}\n" for row in range(400)).encode()
    arrived = threading.Event()

    def write(fifo):
        arrived.wait(late_s)
        with open(fifo, "wb", buffering=0) as pipe:
            pipe.write(rows)

    writers = []
    for host in cluster.hosts:
        folder = cluster.folder / host / "input" / "data"
        folder.mkdir(parents=True)
        os.mkfifo(folder / "training_0")
        # The first host has no worker.
        if host != "algo-1":
            writers.append(threading.Thread(
                target=write, args=(folder / "training_0",), daemon=True))
    cluster.start()
    for writer in writers:
        writer.start()
    codes = cluster.wait(late_s + 90)
    assert set(codes.values()) == {0}, cluster.logs()
    assert took(cluster) > late_s - 3
    assert all(cluster.failure(host) is None for host in cluster.hosts)
    assert "finished no step" not in cluster.logs()
    assert "waits for data that are being loaded" in cluster.log("algo-1"), cluster.log("algo-1")
