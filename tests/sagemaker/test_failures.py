"""What is done to containers in the middle of a job, and what is left then."""

import json
import time

import pytest
from cluster import docker

LONG = {"passes": "400", "hidden": "256"}
PASS = "pass=2;"


def reported(cluster):
    return json.loads((cluster.model / "report.json").read_text())


def test_a_worker_killed_costs_its_speed_only(job):
    cluster = job(hyperparameters={"passes": "60"}).start()
    cluster.wait_for("algo-1", PASS)
    cluster.kill("algo-3", "ps-worker")
    assert set(cluster.wait().values()) == {0}, cluster.logs()
    report = reported(cluster)
    assert [lost["member"] for lost in report["lost"]] == ["worker 1"], report["lost"]
    assert report["final_metrics"]["test_accuracy"] >= 0.96
    assert all(cluster.failure(host) is None for host in cluster.hosts)


def test_a_server_killed_ends_the_job_and_is_named(job):
    cluster = job(hyperparameters=LONG).start()
    cluster.wait_for("algo-1", PASS)
    cluster.kill("algo-2", "ps-server")
    assert set(cluster.wait().values()) == {1}, cluster.logs()
    own = cluster.failure("algo-2")
    assert "algo-2" in own and "server" in own and "signal 9" in own, own
    # The host saw it die and said so: nobody waits for it as for one that is only silent.
    others = cluster.failure("algo-1")
    assert "algo-2" in others and "server 1" in others, others
    assert all(len(cluster.failure(host).encode()) <= 1024 for host in cluster.hosts)


def test_the_master_killed_ends_the_job_and_is_named(job):
    cluster = job(hyperparameters=LONG).start()
    cluster.wait_for("algo-1", PASS)
    cluster.kill("algo-1", "ps-master")
    assert set(cluster.wait().values()) == {1}, cluster.logs()
    own = cluster.failure("algo-1")
    assert "algo-1" in own and "master" in own and "signal 9" in own, own


def test_a_container_paused_and_resumed_goes_on(job):
    cluster = job(hyperparameters={"passes": "100"}).start()
    cluster.wait_for("algo-1", PASS)
    docker("pause", cluster.container("algo-3"))
    time.sleep(3)
    docker("unpause", cluster.container("algo-3"))
    assert set(cluster.wait().values()) == {0}, cluster.logs()
    assert reported(cluster)["final_metrics"]["test_accuracy"] >= 0.96


@pytest.mark.parametrize("harm", ["pause", "cut"])
def test_a_host_that_is_away_for_too_long_ends_the_job(job, harm):
    limits = {"lease_ms": "2000", "server_away_s": "4"}
    cluster = job(hyperparameters={**LONG, **limits}).start()
    cluster.wait_for("algo-1", PASS)
    if harm == "pause":
        docker("pause", cluster.container("algo-3"))
        time.sleep(8)
        docker("unpause", cluster.container("algo-3"))
    else:
        cluster.cut("algo-3")
    assert set(cluster.wait().values()) == {1}, cluster.logs()
    # Its shard is gone for the others; itself it has lost the master, or heard of the end.
    assert "shard 2" in cluster.failure("algo-1"), cluster.failure("algo-1")
    assert "shard 2" in cluster.failure("algo-2"), cluster.failure("algo-2")
    assert cluster.failure("algo-3").startswith("algo-3: "), cluster.failure("algo-3")


def test_a_host_that_is_away_for_longer_than_its_lease_comes_back(job):
    cluster = job(hyperparameters={"passes": "200", "lease_ms": "2000"}).start()
    cluster.wait_for("algo-1", PASS)
    docker("pause", cluster.container("algo-3"))
    time.sleep(8)
    docker("unpause", cluster.container("algo-3"))
    assert set(cluster.wait().values()) == {0}, cluster.logs()
    log = cluster.log("algo-1")
    assert "server shard 2" in log and "is back after" in log, log
    assert reported(cluster)["final_metrics"]["test_accuracy"] >= 0.96


def test_a_network_cut_and_restored_goes_on(job):
    cluster = job(hyperparameters={"passes": "100"}).start()
    cluster.wait_for("algo-1", PASS)
    cluster.cut("algo-3")
    time.sleep(3)
    cluster.restore("algo-3")
    assert set(cluster.wait().values()) == {0}, cluster.logs()
    assert reported(cluster)["final_metrics"]["test_accuracy"] >= 0.96


def test_docker_stop_saves_and_the_same_job_goes_on(job, tmp_path):
    """Spot and cluster repair: the same job starts again with what was kept of its folder."""
    kept = tmp_path / "kept"
    cluster = job(hyperparameters={"passes": "60"}, checkpoints=kept).start()
    cluster.wait_for("algo-1", "pass=5;")
    began = time.monotonic()
    cluster.stop()
    assert time.monotonic() - began < 10
    assert set(cluster.wait().values()) == {143}, cluster.logs()
    assert (cluster.model / "model.safetensors").exists()
    cluster.remove_containers()
    cluster.start()
    assert set(cluster.wait().values()) == {0}, cluster.logs()
    log = cluster.log("algo-1")
    assert "resumed from checkpoint" in log, log
    assert "pass=1;" not in log and "pass=60;" in log
    assert len(reported(cluster)["passes"]) == 60


@pytest.mark.parametrize("flag", ["false", None])
def test_several_hosts_without_the_switch(job, flag):
    cluster = job(hosts=2)
    cluster.hyperparameters = {} if flag is None else {"sagemaker_parameter_server_enabled": flag}
    cluster.start()
    assert set(cluster.wait(30).values()) == {1}
    assert "sagemaker_parameter_server_enabled" in cluster.failure("algo-1")


def test_a_host_that_never_comes_is_named(job):
    cluster = job(hosts=3, hyperparameters={"resolve-timeout-s": "3"}).start(["algo-1", "algo-2"])
    assert set(cluster.wait(30, ["algo-1", "algo-2"]).values()) == {1}
    assert "algo-3" in cluster.failure("algo-1")
