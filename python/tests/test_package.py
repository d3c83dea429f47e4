"""The package by itself, and without torch."""

import doctest
import importlib
import subprocess
import sys

import psrun
import pytest


@pytest.mark.parametrize("module", ["psrun", "psrun._job", "psrun._rules", "psrun._samples"])
def test_what_the_documentation_shows_is_true(module):
    tested = doctest.testmod(importlib.import_module(module))
    assert tested.failed == 0


def test_it_is_imported_without_torch():
    script = """
import sys
sys.modules["torch"] = None
import psrun
assert psrun.job() is None
try:
    psrun.AsyncOptimizer
except ImportError as error:
    print(error)
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "torch" in done.stdout


def test_what_is_missing_of_a_place_is_named():
    with pytest.raises(RuntimeError, match="PS_SERVER_ADDRESSES: it is not set"):
        psrun.job({"PS_INCARNATION": "1"})
    told = {"PS_INCARNATION": "x", "PS_EPOCH": "1", "PS_JOB_ID": "j", "PS_SERVER_ADDRESSES": "a:1", "PS_WORKER_INDEX": "0", "PS_WORKERS": "1"}
    with pytest.raises(RuntimeError, match="PS_INCARNATION: found `x`, expected a number"):
        psrun.job(told)


def test_the_program_came_with_it(program):
    done = subprocess.run([program, "--version"], capture_output=True, text=True)
    assert done.stdout.split()[-1] == psrun.__version__
