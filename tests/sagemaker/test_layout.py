"""Who does what, where that is not the usual."""

import json


def report(cluster):
    return json.loads((cluster.model / "report.json").read_text())


def test_a_master_that_trains_is_a_worker_more(job):
    cluster = job(hosts=2, hyperparameters={"master_trains": "true", "passes": "4"}).start()
    assert set(cluster.wait().values()) == {0}, cluster.logs()
    assert len(report(cluster)["workers"]) == 2


def test_servers_and_workers_have_groups_of_their_own(job):
    groups = [{"instance_group_name": "more", "instance_type": "ml.g5.xlarge",
               "hosts": ["algo-3", "algo-1"]},
              {"instance_group_name": "cpu", "instance_type": "ml.m5.xlarge",
               "hosts": ["algo-2"]}]
    cluster = job(hyperparameters={"server_groups": "cpu", "worker-groups": "more", "passes": "4"},
                  resources={"instance_groups": groups}).start()
    assert set(cluster.wait().values()) == {0}, cluster.logs()
    found = report(cluster)
    assert (len(found["servers"]), len(found["workers"])) == (1, 2)
    # The master is the first host of the servers, whatever its name.
    assert "final_test_accuracy=" in cluster.log("algo-2"), cluster.logs()
