"""Containers that die and are started again by the engine's policy, and hosts that are cut off: with journals the job goes on."""

import json
import time

import pytest

PASS = "pass=2;"
PASSES = 60
DURABLE = {"passes": str(PASSES), "durability": "wal", "lease_ms": "2000"}


def expect_all(cluster):
    """Everybody ended well, and every pass was trained once, whole."""
    assert set(cluster.wait(240).values()) == {0}, cluster.logs()
    report = json.loads((cluster.model / "report.json").read_text())
    assert [done["pass"] for done in report["passes"]] == list(range(1, PASSES + 1))
    assert report["samples_skipped"] == 0
    assert report["final_metrics"]["test_accuracy"] >= 0.96


@pytest.mark.parametrize("host", ["algo-1", "algo-3"])
def test_a_container_that_is_killed_is_started_again_by_its_policy_and_the_job_goes_on(job, host):
    cluster = job(hyperparameters=DURABLE, restart="on-failure:3").start()
    cluster.wait_for("algo-1", PASS)
    cluster.kill_container(host)
    expect_all(cluster)
    assert [cluster.restarts(other) for other in cluster.hosts] == [int(other == host) for other in cluster.hosts]
    said = "the master is back" if host == "algo-1" else "server shard 2 was started again"
    assert said in cluster.log("algo-1"), cluster.logs()


def test_servers_that_are_killed_inside_their_containers_are_started_again(job):
    cluster = job(hyperparameters=DURABLE).start()
    cluster.wait_for("algo-1", PASS)
    for number, host in enumerate(cluster.hosts):
        cluster.kill(host, "ps-server")
        cluster.wait_for("algo-1", f"server shard {number} was started again")
    expect_all(cluster)


@pytest.mark.slow
@pytest.mark.parametrize("durability", ["memory", "wal"])
def test_a_host_that_is_cut_off_for_twenty_seconds_comes_back(job, durability):
    cluster = job(hyperparameters={**DURABLE, "durability": durability}).start()
    cluster.wait_for("algo-1", PASS)
    cluster.cut("algo-3")
    time.sleep(20)
    cluster.restore("algo-3")
    expect_all(cluster)
