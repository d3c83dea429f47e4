"""The notebook's local part, executed as it stands with SDK v2."""

import subprocess

import nbformat
from conftest import OFFLINE, ROOT, python


def test_the_notebooks_local_part_runs(tmp_path):
    notebook = nbformat.read(ROOT / "deploy" / "sagemaker" / "launch.ipynb", as_version=4)
    cells = [cell for cell in notebook.cells
             if cell.cell_type == "code" and "local" in cell.metadata.get("tags", [])]
    assert len(cells) >= 4
    # In the SDK's own environment, which has no Jupyter; cells are plain Python.
    script = tmp_path / "cells.py"
    script.write_text("\n\n".join(cell.source for cell in cells))
    done = subprocess.run([python("sdk2"), str(script)], text=True, timeout=300, cwd=tmp_path,
                          env={**OFFLINE, "PSRUN_PROJECT": str(ROOT)},
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    assert done.returncode == 0, done.stdout
    assert "test_accuracy" in done.stdout
