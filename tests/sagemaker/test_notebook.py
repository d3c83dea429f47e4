"""The notebook's local parts, executed as they stand, each with its SDK."""

import subprocess

import nbformat
import pytest
from conftest import OFFLINE, ROOT, python


@pytest.mark.parametrize("sdk, tag, least, says",
                         [("sdk2", "local", 4, "test_accuracy"),
                          ("sdk3", "local-v3", 1, "model.tar.gz")])
def test_the_notebooks_local_part_runs(sdk, tag, least, says, tmp_path):
    notebook = nbformat.read(ROOT / "deploy" / "sagemaker" / "launch.ipynb", as_version=4)
    cells = [cell for cell in notebook.cells
             if cell.cell_type == "code" and tag in cell.metadata.get("tags", [])]
    assert len(cells) >= least
    # In the SDK's own environment, which has no Jupyter; cells are plain Python.
    script = tmp_path / "cells.py"
    script.write_text("\n\n".join(cell.source for cell in cells))
    done = subprocess.run([python(sdk), str(script)], text=True, timeout=300, cwd=tmp_path,
                          env={**OFFLINE, "PSRUN_PROJECT": str(ROOT)},
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    assert done.returncode == 0, done.stdout
    assert says in done.stdout
