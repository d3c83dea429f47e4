"""What the tests share: small models, jobs of `psrun local`, and where the program is."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

MNIST = Path(os.environ.get("PS_TEST_DATA", "/nowhere")) / "mnist"


@pytest.fixture(scope="session")
def program() -> str:
    from psrun import _alone

    return _alone.program()


@pytest.fixture
def run_job(program, tmp_path):
    """Runs a script in each worker of a job; returns what it printed, and the folder with the results."""

    def run(script, *options, instances=3, expect=0, timeout=180):
        file = tmp_path / "train.py"
        file.write_text(script)
        out = tmp_path / "out"
        command = [program, "local", "--instances", str(instances), "--out", str(out), *options, "--", sys.executable, str(file)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=timeout)
        assert done.returncode == expect, done.stdout + done.stderr
        return done, out

    return run
