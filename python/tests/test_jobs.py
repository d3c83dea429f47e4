"""Whole jobs, whose workers run a script."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

torch = pytest.importorskip("torch")

SCRIPT = """
import torch, psrun
torch.set_num_threads(1)
torch.manual_seed(0)
model = torch.nn.Sequential(torch.nn.Linear(20, 16), torch.nn.ReLU(), torch.nn.BatchNorm1d(16), torch.nn.Linear(16, 3))
optimizer = psrun.AsyncOptimizer(model, "adam", lr=0.01)
job = psrun.job()
data = torch.Generator().manual_seed(job.worker)
for step in range({steps}):
    inputs = torch.randn(32, 20, generator=data)
    labels = inputs[:, :3].argmax(1)
    optimizer.zero_grad()
    torch.nn.functional.cross_entropy(model(inputs), labels).backward()
    optimizer.step()
optimizer.leave()
inputs = torch.randn(1000, 20, generator=torch.Generator().manual_seed(99))
model.eval()
right = (model(inputs).argmax(1) == inputs[:, :3].argmax(1)).float().mean()
print(f"worker={{job.worker}}; workers={{job.workers}}; right={{right:.3f}};", flush=True)
"""


def told(done, name):
    lines = [line for line in done.stdout.splitlines() if f"{name}=" in line and "right=" in line]
    return sorted(dict(part.strip().split("=") for part in line.split(";") if part.strip())[name] for line in lines)


def test_the_workers_of_a_job_train_one_model(run_job):
    done, out = run_job(SCRIPT.format(steps=200))
    assert told(done, "worker") == ["0", "1"] and told(done, "workers") == ["2", "2"]
    assert all(float(right) > 0.9 for right in told(done, "right")), done.stdout
    report = json.loads((out / "report.json").read_text())
    assert sum(worker["counters"]["steps"] for worker in report["workers"].values()) == 400


def test_the_model_is_torchs_own(run_job):
    safetensors = pytest.importorskip("safetensors.torch")
    _, out = run_job(SCRIPT.format(steps=100))
    model = torch.nn.Sequential(torch.nn.Linear(20, 16), torch.nn.ReLU(), torch.nn.BatchNorm1d(16), torch.nn.Linear(16, 3))
    model.load_state_dict(safetensors.load_file(out / "model.safetensors"))
    model.eval()
    inputs = torch.randn(1000, 20)
    assert (model(inputs).argmax(1) == inputs[:, :3].argmax(1)).float().mean() > 0.85


def test_a_script_that_fails_fails_the_job_with_its_words(run_job):
    done, _ = run_job("import psrun\nraise SystemExit('no data here')\n", expect=1)
    assert "no data here" in done.stderr


def test_a_second_model_in_one_job_is_refused_in_words(run_job):
    script = "import torch, psrun\none = psrun.AsyncOptimizer(torch.nn.Linear(4, 2), 'sgd')\nother = psrun.AsyncOptimizer(torch.nn.Linear(5, 2), 'sgd')\n"
    done, _ = run_job(script, instances=1, expect=1)
    assert "hold one model" in done.stderr, done.stderr


def servers_of(out):
    """Processes of the job's servers, by shard."""
    found = {}
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            words = (folder / "cmdline").read_bytes().decode().split("\0")
        except OSError:
            continue
        if "ps-server" in words and any(str(out) in word for word in words):
            shard = next(word for word in words if word.startswith("--shard"))
            shard = shard.partition("=")[2] or words[words.index(shard) + 1]
            found[int(shard)] = int(folder.name)
    return found


def test_a_killed_server_costs_a_script_nothing(program, tmp_path):
    file, out, began = tmp_path / "train.py", tmp_path / "out", tmp_path / "began"
    script = SCRIPT.format(steps=600).replace("    optimizer.step()", f"    optimizer.step()\n    step == 50 and open({str(began)!r}, 'w')")
    file.write_text(script)
    command = [program, "local", "--instances", "3", "--durability", "wal", "--out", str(out), "--", sys.executable, str(file)]
    job = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    for _ in range(600):
        if began.exists() or job.poll() is not None:
            break
        time.sleep(0.1)
    os.kill(servers_of(out)[1], signal.SIGKILL)
    stdout, stderr = job.communicate(timeout=120)
    assert job.returncode == 0, stdout + stderr
    assert "started again, nothing lost: server shard 1" in stderr, stderr
    report = json.loads((out / "report.json").read_text())
    assert sum(worker["counters"]["steps"] for worker in report["workers"].values()) == 1200
