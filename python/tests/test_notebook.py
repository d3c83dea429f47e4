"""The notebook, executed as it stands."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("torch")
pytest.importorskip("safetensors")

HERE = Path(__file__).resolve().parent


def test_the_notebook_trains_here_and_in_a_job(tmp_path):
    notebook = json.loads((HERE.parent / "examples" / "digits.ipynb").read_text())
    cells = ["".join(cell["source"]) for cell in notebook["cells"] if cell["cell_type"] == "code"]
    assert len(cells) >= 4
    # Without Jupyter: cells are plain Python.
    script = tmp_path / "cells.py"
    script.write_text("\n\n".join(cells))
    digits = os.environ.get("DIGITS", str(HERE.parent.parent / "data" / "digits"))
    done = subprocess.run([sys.executable, str(script)], capture_output=True, text=True, timeout=300, env={**os.environ, "DIGITS": digits})
    assert done.returncode == 0, done.stdout + done.stderr
    found = re.findall(r"accuracy=([0-9.]+);", done.stdout)
    assert float(found[0]) > 0.93 and float(found[-1]) > 0.93, done.stdout
