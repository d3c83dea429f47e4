"""The full image: programs of the user's on every worker, in real containers."""

import pytest
from conftest import launch, metrics

FULL = "parameter-server-full:local"

SHELL = """#!/bin/bash
echo "worker $PS_WORKER_INDEX of $PS_WORKERS; arguments=$*;"
exec ps-worker
"""
PYTHON = """
import os, subprocess, sys
print(f"python {sys.version_info.major}; arguments={' '.join(sys.argv[1:])};", flush=True)
sys.exit(subprocess.call(["ps-worker"]))
"""


@pytest.mark.slow
@pytest.mark.parametrize("name, text", [("train.sh", SHELL), ("train.py", PYTHON)])
def test_a_program_trains_on_every_worker(job, tmp_path, name, text):
    code = tmp_path / "code"
    code.mkdir()
    (code / name).write_text(text)
    cluster = job(image=FULL, hyperparameters={"entry_point": name, "passes": "4", "mine": "7"},
                  channels={"training": {}, "code": {}})
    cluster.data["code"] = code
    cluster.start()
    assert set(cluster.wait().values()) == {0}, cluster.logs()
    assert (cluster.model / "model.safetensors").exists()
    for host in ("algo-2", "algo-3"):
        assert "--mine 7" in cluster.log(host), cluster.logs()
    # Worker 0 evaluates what it trains.
    assert metrics(cluster.log("algo-2"))["final:test_accuracy"], cluster.logs()


@pytest.mark.slow
def test_a_program_that_fails_fails_its_host_by_name(job, tmp_path):
    code = tmp_path / "code"
    code.mkdir()
    (code / "train.sh").write_text("echo no >&2; exit 7\n")
    cluster = job(image=FULL, hyperparameters={"entry_point": "train.sh"},
                  channels={"training": {}, "code": {}})
    cluster.data["code"] = code
    cluster.start()
    assert set(cluster.wait().values()) == {1}, cluster.logs()
    for host in cluster.hosts:
        assert "its program failed" in cluster.failure(host), cluster.failure(host)


@pytest.mark.slow
def test_sdk_3s_source_code_starts_us(tmp_path):
    """Its command takes the place of the container's: the script starts `train`."""
    code = tmp_path / "code"
    code.mkdir()
    (code / "go.sh").write_text("#!/bin/bash\necho before\nexec train\n")
    (code / "go.sh").chmod(0o755)
    job = launch("sdk3", tmp_path, "--image", FULL, "--source-code", str(code), "--command",
                 "./go.sh", "--hyperparameter", "passes=5")
    assert job.code == 0, job.output
    assert len(job.model().report["servers"]) == 3
