"""The examples that use a model without psrun give the numbers that psrun gives."""

import csv
import os
import pathlib
import random
import subprocess
import sys

import pytest

EXAMPLES = pathlib.Path(__file__).resolve().parents[2] / "examples/python"
PSRUN = os.environ["PS_TEST_PSRUN"]
TORCH = os.environ.get("PS_BENCH_TORCH")


def table(rows, seed):
    """A number, one that is missing here and there, a text, one of many shops, and what becomes of them."""
    draw = random.Random(seed)
    lines = [["size", "age", "colour", "shop", "kind", "price"]]
    for _ in range(rows):
        size, shop = draw.random(), draw.randrange(300)
        age = "NA" if draw.random() < 0.1 else f"{draw.randrange(90)}"
        colour = draw.choice(["red", "green, dark", "blue"])
        kind = "abc"[(shop + (colour == "red")) % 3]
        lines.append([f"{size:.3f}", age, colour, f"shop {shop}", kind, f"{1000 + 50 * size:.2f}"])
    return lines


@pytest.fixture
def folder(tmp_path):
    for name, rows, seed in (("train", 4000, 1), ("new", 200, 2)):
        with open(tmp_path / f"{name}.csv", "w", newline="") as file:
            csv.writer(file).writerows(table(rows, seed))
    return tmp_path


def run(*words):
    return subprocess.run(list(map(str, words)), check=True, capture_output=True, text=True).stdout


def compare(folder, python, example, *options):
    model = folder / "model"
    run(PSRUN, "local", "--instances", 2, "--data", folder / "train.csv", "--passes", 3, "--out", model, *options)
    lines = csv.reader(run(PSRUN, "predict", "--model", model, "--data", folder / "new.csv").splitlines())
    header = next(lines)
    columns = [at for at, name in enumerate(header) if name.startswith("p_")] or [header.index("prediction")]
    expected = [[float(line[at]) for at in columns] for line in lines]
    found = [[float(it) for it in line.split(",")] for line in run(python, EXAMPLES / example, model, folder / "new.csv").split()]
    assert len(found) == len(expected) == 200
    for one, other in zip(found, expected):
        assert one == pytest.approx(other, rel=1e-4, abs=2e-4)


@pytest.mark.parametrize("model", ["mlp", "linear", "wide-deep"])
def test_numpy_gives_the_same_probabilities(folder, model):
    compare(folder, sys.executable, "predict_numpy.py", "--model", model, "--label", "kind", "--ignore", "price")


def test_numpy_gives_the_same_numbers(folder):
    compare(folder, sys.executable, "predict_numpy.py", "--label", "price", "--ignore", "kind")


@pytest.mark.skipif(not TORCH, reason="PS_BENCH_TORCH names no Python with torch")
def test_pytorch_gives_the_same_probabilities(folder):
    compare(folder, TORCH, "predict_torch.py", "--label", "kind", "--ignore", "price,shop")
