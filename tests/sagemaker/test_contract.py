"""The contract without containers: the toolkit as launcher and as oracle, and the request."""

import io
import json
import os
import random
import socket
import subprocess
import tarfile
import time
import urllib.request
from pathlib import Path

import pytest
from conftest import DIGITS, ENVIRONMENTS, LAUNCH, OFFLINE, ROOT, metrics, python

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
        "hidden": draw.choice([json.dumps(widths), json.dumps(json.dumps(widths)),
                               ",".join(map(str, widths))]),
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
    """A JSON value as an option's text. A list that was written as a text, as SDK v2 writes it, is a
    text to the toolkit, for the program to read; to us it is the list."""
    if isinstance(value, str) and value.startswith("["):
        value = json.loads(value)
    if isinstance(value, list):
        return ",".join(map(str, value))
    return str(value)


def test_a_program_gets_the_arguments_that_the_toolkit_gives_it(psrun, tmp_path):
    given = {"n": "3", "shuffle": "true", "widths": "[64, 32]", "words": '["a", "b c"]',
             "name": '"x y"', "nothing": "null", "rate": "0.25", "map": '{"k": 1, "b": true}',
             "plain": "it's text", "model_dir": '"/opt/ml/model"', "sagemaker_program": '"dump.sh"'}
    base = opt_ml(tmp_path, given)
    (base / "code" / "dump.sh").write_text('#!/bin/sh\nfor word; do echo "ARGUMENT=$word"; done\n')
    theirs = toolkit(base, "dump.sh")
    expected = [line.removeprefix("ARGUMENT=") for line in theirs.stdout.splitlines()
                if line.startswith("ARGUMENT=")]
    assert len(expected) == 2 * (len(given) - 1), theirs.stdout
    ours = subprocess.run([str(psrun), "train"], text=True, capture_output=True, timeout=60,
                          env={**OFFLINE, "SAGEMAKER_BASE_DIR": str(base)})
    found = [line.removeprefix("ARGUMENT=") for line in ours.stdout.splitlines()
             if line.startswith("ARGUMENT=")]
    assert found == expected, ours.stderr


@pytest.fixture(scope="session")
def aws():
    """The address of a server that is AWS as far as moto knows it."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    server = subprocess.Popen([str(TOOLKIT.parent / "moto_server"), "-H", "127.0.0.1", "-p",
                               str(port)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        url = f"http://127.0.0.1:{port}"
        for _ in range(300):
            try:
                urllib.request.urlopen(f"{url}/moto-api/", timeout=1)
                break
            except OSError:
                time.sleep(0.1)
        yield url
    finally:
        server.terminate()
        server.wait()


def client(service, url):
    import boto3

    return boto3.client(service, endpoint_url=url, region_name="us-west-2",
                        aws_access_key_id="testing", aws_secret_access_key="testing")


def test_the_request_is_one_that_the_service_takes(aws):
    """SDK v3 and boto3 send this; moto refuses what the API model does not know."""
    sagemaker = client("sagemaker", aws)
    request = json.loads((ROOT / "deploy/sagemaker/create_training_job.json").read_text())
    sagemaker.create_training_job(**request)
    described = sagemaker.describe_training_job(TrainingJobName=request["TrainingJobName"])
    assert described["HyperParameters"]["sagemaker_parameter_server_enabled"] == "true"
    assert described["ResourceConfig"]["InstanceCount"] == 3
    definitions = json.loads((ROOT / "deploy/sagemaker/metric_definitions.json").read_text())
    assert request["AlgorithmSpecification"]["MetricDefinitions"] == definitions


@pytest.mark.parametrize("sdk", ["sdk2", "sdk3"])
def test_the_launchers_requests_say_what_was_asked(aws, sdk, tmp_path):
    """What launch.py has the SDKs send, as far as moto keeps it."""
    done = subprocess.run(
        [python(sdk), str(LAUNCH), "--data", "s3://bucket/digits", "--output", "s3://bucket/out",
         "--role", "arn:aws:iam::123456789012:role/job", "--image", "ps:1", "--sharded", "--spot",
         "--checkpoints", "s3://bucket/kept", "--max-run-s", "1000", "--no-wait",
         "--group", "cpu", "ml.m5.xlarge", "1", "--group", "more", "ml.m5.2xlarge", "2",
         "--hyperparameter", "server-groups=cpu", "worker-groups=more"],
        # Moto cannot say what a role may do.
        env={**OFFLINE, "AWS_ENDPOINT_URL": aws, "SAGEMAKER_VALIDATE_ROLE": "false"},
        text=True, timeout=120,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    assert done.returncode == 0, done.stdout
    sagemaker = client("sagemaker", aws)
    names = [it["TrainingJobName"]
             for it in sagemaker.list_training_jobs(MaxResults=100)["TrainingJobSummaries"]]
    jobs = [sagemaker.describe_training_job(TrainingJobName=name) for name in names]
    job = next(job for job in jobs
               if job["AlgorithmSpecification"].get("TrainingImage") == "ps:1"
               and job["TrainingJobName"].startswith("parameter-server") == (sdk == "sdk3"))
    source = job["InputDataConfig"][0]["DataSource"]["S3DataSource"]
    assert source["S3DataDistributionType"] == "ShardedByS3Key"
    assert job["StoppingCondition"] == {"MaxRuntimeInSeconds": 1000, "MaxWaitTimeInSeconds": 2000}
    assert job["EnableManagedSpotTraining"] is True
    assert job["CheckpointConfig"]["S3Uri"] == "s3://bucket/kept"
    groups = job["ResourceConfig"]["InstanceGroups"]
    assert [group["InstanceGroupName"] for group in groups] == ["cpu", "more"]
    # Metric definitions are sent as well; moto answers with some of its own.
    assert "sagemaker_parameter_server_enabled" in job["HyperParameters"]


def test_code_in_s3_is_fetched_and_run(aws, psrun, tmp_path):
    """As SDK v2 leaves a script-mode job's code on AWS: sourcedir.tar.gz in the user's bucket."""
    code = io.BytesIO()
    with tarfile.open(fileobj=code, mode="w:gz") as archive:
        script = f"#!/bin/sh\necho \"arguments=$*;\"\nexec {psrun} ps-worker\n".encode()
        about = tarfile.TarInfo("train.sh")
        about.size = len(script)
        archive.addfile(about, io.BytesIO(script))
    s3 = client("s3", aws)
    s3.create_bucket(Bucket="code", CreateBucketConfiguration={"LocationConstraint": "us-west-2"})
    s3.put_object(Bucket="code", Key="job/source/sourcedir.tar.gz", Body=code.getvalue())

    def run(key, folder):
        base = opt_ml(folder, {"passes": "3", "sagemaker_program": '"train.sh"',
                               "sagemaker_submit_directory": f'"s3://code/{key}"'})
        (base / "code").rmdir()
        done = subprocess.run([str(psrun), "train"], text=True, capture_output=True, timeout=60,
                              env={**OFFLINE, "SAGEMAKER_BASE_DIR": str(base),
                                   "AWS_ENDPOINT_URL_S3": aws})
        return base, done

    base, done = run("job/source/sourcedir.tar.gz", tmp_path / "there")
    assert done.returncode == 0, done.stderr
    assert "arguments=--passes 3;" in done.stdout
    assert metrics(done.stdout)["final:test_accuracy"], done.stdout
    assert (base / "model" / "model.safetensors").exists()

    base, done = run("nothing/sourcedir.tar.gz", tmp_path / "not-there")
    assert done.returncode == 1
    failure = (base / "output" / "failure").read_text()
    assert "s3://code/nothing/sourcedir.tar.gz" in failure and "404" in failure, failure
