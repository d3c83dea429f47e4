"""The PyTorch image: a script with our optimizer, as SageMaker's script mode runs scripts, by both SDKs."""

import json
import re
import subprocess
import zipfile

import pytest
from conftest import launch, metrics, test_set as read_test_set

IMAGE = "parameter-server-pytorch:local"

# A script-mode script: hyperparameters as arguments, folders from SageMaker's variables, a module of its requirements.
SCRIPT = '''
import argparse, json, os, sys
import numpy, torch
import psrun
import greeting

parser = argparse.ArgumentParser()
parser.add_argument("--epochs", type=int, default=1)
parser.add_argument("--learning-rate", type=float, default=0.1)
parser.add_argument("--data-dir", default=os.environ["SM_CHANNEL_TRAINING"])
parser.add_argument("--output-data-dir", default=os.environ["SM_OUTPUT_DATA_DIR"])
args = parser.parse_args()
print(f"{greeting.WORD}; host={os.environ['SM_CURRENT_HOST']}; hosts={len(json.loads(os.environ['SM_HOSTS']))};")

import gzip
def read(name):
    content = gzip.decompress(open(os.path.join(args.data_dir, name), "rb").read())
    sizes = [int.from_bytes(content[4 + 4 * i:8 + 4 * i], "big") for i in range(content[3])]
    values = numpy.frombuffer(content, numpy.uint8, offset=4 + 4 * content[3]).reshape(sizes)
    return torch.from_numpy(values.copy())

images = read("train-images-idx3-ubyte.gz").flatten(1).float() / 255
labels = read("train-labels-idx1-ubyte.gz").long()
model = torch.nn.Sequential(torch.nn.Linear(images.shape[1], 64), torch.nn.ReLU(), torch.nn.Linear(64, 10))
optimizer = psrun.AsyncOptimizer(model.named_parameters(), "sgd", lr=args.learning_rate, momentum=0.9)
loader = psrun.DataLoader(torch.utils.data.TensorDataset(images, labels), batch_size=32, shuffle=True)
for epoch in range(args.epochs):
    for x, y in loader:
        optimizer.zero_grad()
        torch.nn.functional.cross_entropy(model(x), y).backward()
        optimizer.step()
    psrun.report(accuracy=(model(images).argmax(1) == labels).float().mean().item())
with open(os.path.join(args.output_data_dir, "done-" + os.environ["SM_CURRENT_HOST"]), "w") as done:
    done.write("done")
'''


@pytest.fixture
def code(tmp_path):
    folder = tmp_path / "code"
    folder.mkdir()
    (folder / "train.py").write_text(SCRIPT)
    (folder / "requirements.txt").write_text("./greeting-1.0-py3-none-any.whl\n")
    with zipfile.ZipFile(folder / "greeting-1.0-py3-none-any.whl", "w") as wheel:
        wheel.writestr("greeting.py", "WORD = 'hello from the requirements'\n")
        info = "greeting-1.0.dist-info"
        wheel.writestr(f"{info}/METADATA", "Metadata-Version: 2.1\nName: greeting\nVersion: 1.0\n")
        wheel.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        wheel.writestr(f"{info}/RECORD", "")
    return folder


@pytest.mark.slow
@pytest.mark.parametrize("sdk", ["sdk2", "sdk3"])
def test_a_script_mode_script_trains_on_every_worker(sdk, code, tmp_path):
    job = launch(sdk, tmp_path, "--image", IMAGE, "--source-code", str(code), "--entry-point", "train.py",
                 *(["--estimator", "pytorch"] if sdk == "sdk2" else []),
                 "--hyperparameter", "epochs=4", "learning-rate=0.05")
    assert job.code == 0, job.output
    model = job.model()
    # The layout that SageMaker documents: the first host has no worker.
    assert [len(model.report[name]) for name in ("servers", "workers")] == [3, 2]
    # SDK 2 puts a suffix behind the names.
    hosts = re.findall(r"hello from the requirements; host=(algo-\d)\S*; hosts=3;", job.output)
    assert sorted(hosts) == ["algo-2", "algo-3"], job.output
    assert metrics(job.output)["test:accuracy"], job.output
    # torch's own names, without anything of ours.
    assert sorted(model.tensors) == ["0.bias", "0.weight", "2.bias", "2.weight"]
    assert model.accuracy(*read_test_set()) >= 0.93


@pytest.mark.slow
def test_requirements_that_cannot_be_had_fail_the_job_in_pips_words(code, tmp_path):
    (code / "requirements.txt").write_text("./absent-1.0-py3-none-any.whl\n")
    job = launch("sdk2", tmp_path, "--image", IMAGE, "--estimator", "pytorch", "--source-code", str(code),
                 "--entry-point", "train.py")
    assert job.code != 0
    assert "absent-1.0-py3-none-any.whl" in job.output and "installing what" in job.output, job.output


@pytest.mark.slow
def test_a_script_that_no_job_runs_is_not_as_many_trainings_as_hosts(code):
    """SDK 3's `entry_script` starts it on every host by itself."""
    hosts = json.dumps(["algo-1", "algo-2", "algo-3"])
    done = subprocess.run(
        ["docker", "run", "--rm", "--volume", f"{code}:/code", "--env", f"SM_HOSTS={hosts}", IMAGE, "python3", "-c",
         "import torch, psrun; psrun.AsyncOptimizer(torch.nn.Linear(2, 1).named_parameters(), 'sgd', lr=0.1)"],
        text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=120)
    assert done.returncode == 1
    assert "one of 3 hosts" in done.stdout and "command='train'" in done.stdout, done.stdout
