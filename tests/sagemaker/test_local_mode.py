"""The real SDKs, unmodified, in local mode."""

import tarfile

import pytest
from conftest import launch, metrics, running_containers


@pytest.mark.parametrize("sdk", ["sdk2", "sdk3"])
@pytest.mark.parametrize("instances", [1, 2, 3])
def test_a_job_gives_its_model(sdk, instances, tmp_path):
    job = launch(sdk, tmp_path, "--instances", str(instances))
    assert job.code == 0, job.output
    model = job.model()
    assert model.check() >= 0.96
    assert len(model.report["servers"]) == instances
    assert len(model.report["workers"]) == max(instances - 1, 1)
    assert running_containers() == []


@pytest.mark.parametrize("estimator", ["tensorflow", "mxnet", "pytorch"])
def test_a_framework_estimators_distribution_is_understood(estimator, tmp_path):
    job = launch("sdk2", tmp_path, "--estimator", estimator, "--hyperparameter", "passes=5")
    assert job.code == 0, job.output
    assert len(job.model().report["servers"]) == 3
    # It was given a program; with a model named, that is not what runs, and it is said.
    assert "train.sh" in job.output


def test_metric_definitions_match_what_is_printed(tmp_path):
    job = launch("sdk2", tmp_path, "--hyperparameter", "passes=4")
    found = metrics(job.output)
    assert [len(found[name]) for name in
            ["train:loss", "final:test_accuracy", "final:test_loss"]] == [4, 1, 1], job.output
    # A pass that is over before the one ahead of it was measured may be skipped.
    assert 1 <= len(found["test:accuracy"]) == len(found["test:loss"]) <= 4, job.output
    assert found["final:test_accuracy"][0] == pytest.approx(job.model().check(), abs=1e-4)


def test_several_hosts_without_the_switch_are_not_several_trainings(tmp_path):
    job = launch("sdk2", tmp_path, "--hyperparameter", "sagemaker_parameter_server_enabled=False")
    assert job.code != 0
    assert "sagemaker_parameter_server_enabled" in job.output
    with tarfile.open(job.archive) as archive:
        assert not any(name.endswith("model.safetensors") for name in archive.getnames())


def test_a_misspelt_hyperparameter_stops_the_job(tmp_path):
    job = launch("sdk2", tmp_path, "--hyperparameter", "pases=4")
    assert job.code != 0
    assert "pases" in job.output and "passes" in job.output


def test_a_trained_model_is_a_start(tmp_path):
    first = launch("sdk2", tmp_path / "first", "--hyperparameter", "passes=10")
    reported = first.model().check()
    # As the service gives it: the archive in the channel's folder.
    again = launch("sdk2", tmp_path / "again", "--model", str(first.archive.parent),
                   "--hyperparameter", "passes=1", "lr=0.01")
    assert again.code == 0, again.output
    model = again.model()
    # One pass from nothing reaches 0.94 at most; this one went on from where the first one ended.
    assert model.check() >= reported - 0.01
    assert model.report["passes"][0]["train_loss"] < 0.1


@pytest.mark.slow
@pytest.mark.parametrize("sdk", ["sdk2", "sdk3"])
def test_ten_times_in_a_row(sdk, tmp_path):
    for number in range(10):
        job = launch(sdk, tmp_path / str(number))
        assert job.code == 0, job.output
        assert job.model().check() >= 0.96
        assert running_containers() == []
