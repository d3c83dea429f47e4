"""What the tests share: the job's data, an SDK's launch, a model read back, containers of our own."""

import gzip
import json
import os
import re
import subprocess
import tarfile
import time
from pathlib import Path

import numpy
import pytest
from safetensors.numpy import load_file

ROOT = Path(__file__).resolve().parents[2]
ENVIRONMENTS = Path(os.environ.get("PS_TEST_ENVIRONMENTS", ROOT / "target" / "sagemaker"))
IMAGE = "parameter-server:local"
LAUNCH = ROOT / "deploy" / "sagemaker" / "launch.py"
DIGITS = ROOT / "data" / "digits"

# Nothing here has an account, and no metadata service answers.
OFFLINE = {
    **{name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "PS_"))},
    "AWS_EC2_METADATA_DISABLED": "true",
    "AWS_DEFAULT_REGION": "us-west-2",
    "AWS_REGION": "us-west-2",
    "AWS_ACCESS_KEY_ID": "testing",
    "AWS_SECRET_ACCESS_KEY": "testing",
    "SAGEMAKER_SUPPRESS_V2_WARNING": "1",
}


def pytest_collection_modifyitems(items):
    if os.environ.get("PS_TEST_ALL"):
        return
    for item in items:
        if item.get_closest_marker("slow"):
            item.add_marker(pytest.mark.skip(reason="long: tests/sagemaker/run --all"))


def pytest_configure(config):
    config.addinivalue_line("markers", "slow: only with tests/sagemaker/run --all")


def python(environment):
    return str(ENVIRONMENTS / environment / "bin" / "python")


class Launched:
    """What came of a job that an SDK launched."""

    def __init__(self, completed, seconds, archive, folder):
        self.code = completed.returncode
        self.output = completed.stdout
        self.seconds = seconds
        self.archive = archive
        self.folder = folder

    def model(self):
        folder = self.folder / "extracted"
        with tarfile.open(self.archive) as archive:
            archive.extractall(folder, filter="data")
        return Model(folder)


def launch(sdk, folder, *arguments, data=DIGITS, timeout_s=300):
    """Runs deploy/sagemaker/launch.py in local mode with one of the real SDKs."""
    root = folder / "containers"
    root.mkdir(parents=True)
    command = [python(sdk), str(LAUNCH), "--container-root", str(root), "--output",
               str(folder / "out"), *arguments]
    if data:
        command += ["--data", str(data)]
    began = time.monotonic()
    completed = subprocess.run(command, env=OFFLINE, text=True, timeout=timeout_s,
                               stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    seconds = time.monotonic() - began
    found = sorted(folder.rglob("model.tar.gz"))
    return Launched(completed, seconds, found[0] if found else None, folder)


class Model:
    """A model as a user gets it, evaluated without anything of ours."""

    def __init__(self, folder):
        self.tensors = load_file(folder / "model.safetensors")
        self.config = json.loads((folder / "config.json").read_text())
        self.report = json.loads((folder / "report.json").read_text())

    def accuracy(self, images, labels):
        values = images
        layers = sorted({name.split(".")[0] for name in self.tensors})
        for number, layer in enumerate(layers):
            values = values @ self.tensors[f"{layer}.weight"].T + self.tensors[f"{layer}.bias"]
            if number + 1 < len(layers):
                values = numpy.maximum(values, 0)
        return float((values.argmax(axis=1) == labels).mean())

    def check(self):
        """The accuracy that it reports is the accuracy that it has."""
        reported = self.report["final_metrics"]["test_accuracy"]
        assert abs(self.accuracy(*test_set()) - reported) < 1e-6
        return reported


def read_idx(path):
    content = gzip.decompress(path.read_bytes())
    dimensions = content[3]
    sizes = [int.from_bytes(content[4 + 4 * i:8 + 4 * i], "big") for i in range(dimensions)]
    return numpy.frombuffer(content, numpy.uint8, offset=4 + 4 * dimensions).reshape(sizes)


def test_set():
    images = read_idx(DIGITS / "t10k-images-idx3-ubyte.gz")
    labels = read_idx(DIGITS / "t10k-labels-idx1-ubyte.gz")
    return images.reshape(len(images), -1).astype(numpy.float32) / 255, labels


def metrics(output):
    """The values of the project's metric lines, by the definitions that users paste."""
    definitions = json.loads((LAUNCH.parent / "metric_definitions.json").read_text())
    return {each["Name"]: [float(found) for found in re.findall(each["Regex"], output)]
            for each in definitions}


def running_containers():
    """Compose leaves containers that have ended; none may still run."""
    listed = subprocess.run(
        ["docker", "ps", "--quiet", "--filter", f"ancestor={IMAGE}"],
        text=True, capture_output=True, check=True)
    return listed.stdout.split()


@pytest.fixture
def job(tmp_path):
    from cluster import Cluster

    made = []

    def make(**options):
        made.append(Cluster(tmp_path / f"job-{len(made)}", **options))
        return made[-1]

    yield make
    for cluster in made:
        cluster.remove()
