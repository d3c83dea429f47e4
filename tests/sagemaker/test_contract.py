"""The contract without containers: the toolkit as launcher and as oracle, and the request."""

import json
import os
import random
import subprocess
import time
import urllib.request
from pathlib import Path

import pytest
from conftest import DIGITS, ENVIRONMENTS, OFFLINE, ROOT, metrics

TOOLKIT = ENVIRONMENTS / "tests" / "bin" / "train"


@pytest.fixture(scope="session")
def psrun():
    target = Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target"))
    host = subprocess.run(["rustc", "-vV"], capture_output=True, text=True, check=True).stdout
    host = next(line[6:] for line in host.splitlines() if line.startswith("host: "))
    profile = os.environ.get("PROFILE", "dist")
    path = target / host / profile / "psrun"
    assert path.exists(), f"{path}: deploy/container/build makes it"
    return path


def opt_ml(folder, hyperparameters, data=DIGITS):
    base = folder / "opt" / "ml"
    config = base / "input" / "config"
    config.mkdir(parents=True)
    for name in ("code", "output/data", "model", "input/data"):
        (base / name).mkdir(parents=True)
    (base / "input" / "data" / "training").symlink_to(data)
    resource = {"current_host": "algo-1", "hosts": ["algo-1"], "network_interface_name": "eth0",
                "current_instance_type": "local"}
    files = {"hyperparameters": hyperparameters, "resourceconfig": resource,
             "inputdataconfig": {"training": {"TrainingInputMode": "File"}}}
    for name, content in files.items():
        (config / f"{name}.json").write_text(json.dumps(content))
    return base


def toolkit(base, program):
    environment = {**OFFLINE, "SAGEMAKER_BASE_DIR": str(base), "SAGEMAKER_PROGRAM": program,
                   "SM_STUDIO_LOCAL_MODE": "True",
                   "PATH": f"{TOOLKIT.parent}:{os.environ['PATH']}"}
    return subprocess.run([str(TOOLKIT)], env=environment, text=True, timeout=120,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT)


def test_the_toolkit_launches_us_as_a_program(psrun, tmp_path):
    base = opt_ml(tmp_path, {"passes": "5", "sagemaker_program": '"go.sh"'})
    script = base / "code" / "go.sh"
    script.write_text(f"#!/bin/sh\nexec {psrun} train\n")
    done = toolkit(base, "go.sh")
    assert done.returncode == 0, done.stdout
    assert metrics(done.stdout)["final:test_accuracy"], done.stdout
    assert (base / "model" / "model.safetensors").exists()


def spellings(number):
    """Hyperparameters of every shape that the SDKs write, the same for the same number."""
    draw = random.Random(number)
    rate = draw.choice([0.1, 0.05, 1e-3])
    widths = draw.choice([[64, 32], [128], [16, 16, 16]])
    return {
        "lr": draw.choice([str(rate), json.dumps(rate), json.dumps(str(rate))]),
        "passes": draw.choice(["7", '"7"', " 7"]).strip(),
        "optimizer": draw.choice(["adam", '"adam"']),
        "hidden": draw.choice([json.dumps(widths), ",".join(map(str, widths))]),
        "batch_size" if draw.random() < 0.5 else "batch-size": "16",
        "seed": str(draw.randrange(100)),
        "sagemaker_parameter_server_enabled": draw.choice(["true", "True", '"true"']),
        "sagemaker_container_log_level": "20",
        "sagemaker_job_name": '"a-job"',
    }


@pytest.mark.parametrize("number", range(6))
def test_we_read_hyperparameters_as_the_toolkit_does(psrun, number, tmp_path):
    given = spellings(number)
    base = opt_ml(tmp_path, given)
    (base / "code" / "dump.sh").write_text('#!/bin/sh\necho "SM_HPS=$SM_HPS"\n')
    theirs = toolkit(base, "dump.sh")
    line = next(line for line in theirs.stdout.splitlines() if line.startswith("SM_HPS="))
    expected = {name.replace("_", "-"): plain(value)
                for name, value in json.loads(line.removeprefix("SM_HPS=")).items()}
    ours = subprocess.run([str(psrun), "train", "--dry-run"], text=True, capture_output=True,
                          env={**OFFLINE, "SAGEMAKER_BASE_DIR": str(base)}, timeout=30)
    assert ours.returncode == 0, ours.stderr
    read = dict(line.removeprefix("hyperparameter ").split("=", 1)
                for line in ours.stdout.splitlines() if line.startswith("hyperparameter "))
    assert {name.replace("_", "-"): value for name, value in read.items()} == expected


def plain(value):
    """A JSON value as an option's text."""
    if isinstance(value, list):
        return ",".join(map(str, value))
    return str(value)


def test_the_request_is_one_that_the_service_takes(tmp_path):
    """SDK v3 and boto3 send this; moto refuses what the API model does not know."""
    import boto3

    port = 5000 + os.getpid() % 1000
    server = subprocess.Popen([str(TOOLKIT.parent / "moto_server"), "-H", "127.0.0.1", "-p",
                               str(port)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        url = f"http://127.0.0.1:{port}"
        for _ in range(100):
            try:
                urllib.request.urlopen(f"{url}/moto-api/", timeout=1)
                break
            except OSError:
                time.sleep(0.1)
        client = boto3.client("sagemaker", endpoint_url=url, region_name="us-west-2",
                              aws_access_key_id="testing", aws_secret_access_key="testing")
        request = json.loads((ROOT / "deploy/sagemaker/create_training_job.json").read_text())
        client.create_training_job(**request)
        described = client.describe_training_job(TrainingJobName=request["TrainingJobName"])
        assert described["HyperParameters"]["sagemaker_parameter_server_enabled"] == "true"
        assert described["ResourceConfig"]["InstanceCount"] == 3
        definitions = json.loads((ROOT / "deploy/sagemaker/metric_definitions.json").read_text())
        assert request["AlgorithmSpecification"]["MetricDefinitions"] == definitions
    finally:
        server.terminate()
        server.wait()
