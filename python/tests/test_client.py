"""Loops of one's own with NumPy, and samples without torch."""

import subprocess
import sys
from pathlib import Path

import pytest

numpy = pytest.importorskip("numpy")

import psrun  # noqa: E402

EXAMPLES = Path(__file__).parent.parent / "examples"


def test_a_step_is_the_optimizers():
    client = psrun.Client({"w": numpy.ones((2, 3)), "b": numpy.zeros(3)}, "sgd", lr=0.5, weight_decay=0.1)
    client.step({"w": numpy.full((2, 3), 2.0)})
    assert client["w"] == pytest.approx(numpy.full((2, 3), 1 - 0.5 * (2 + 0.1)))
    assert (client["b"] == 0).all(), "it has no gradient"
    client.step({"b": numpy.array([1, 2, 3])}, lr=1.0)
    assert client["b"].tolist() == [-1, -2, -3]
    client.leave()


def test_rows_of_a_table_in_any_order():
    client = psrun.Client({"table": numpy.zeros((5, 2))}, "sgd", lr=1.0)
    client.step({"table": ([4, 1], [[1, 2], [3, 4]])})
    client.step({"table": (numpy.array([], dtype=int), numpy.zeros((0, 2)))})
    assert client["table"].tolist() == [[0, 0], [-3, -4], [0, 0], [0, 0], [-1, -2]]
    with pytest.raises(ValueError, match="rising rows"):
        client.step({"table": ([1, 1], numpy.ones((2, 2)))})


def test_mistakes_are_named():
    with pytest.raises(ValueError, match="no optimizer 'lion'"):
        psrun.Client({"w": numpy.zeros(1)}, "lion")
    with pytest.raises(TypeError, match="w is <U1, expected numbers"):
        psrun.Client({"w": numpy.array(["a"])})
    client = psrun.Client({"w": numpy.zeros(3)}, lr=0.1)
    with pytest.raises(KeyError, match="no array 'v'; there are w"):
        client.step({"v": numpy.zeros(3)})
    with pytest.raises(ValueError, match=r"a gradient of shape \(4,\), expected \(3,\)"):
        client.step({"w": numpy.zeros(4)})
    with pytest.raises(ValueError, match="read-only"):
        client["w"][0] = 1.0


def test_the_example_learns_alone_and_in_a_job(program, tmp_path):
    example = str(EXAMPLES / "regression_numpy.py")
    job = [program, "local", "--instances", "3", "--out", str(tmp_path / "out"), "--", sys.executable, example]
    for command in ([sys.executable, example], job):
        done = subprocess.run(command, capture_output=True, text=True, timeout=120)
        assert done.returncode == 0, done.stderr
        last = [line for line in done.stdout.splitlines() if "test_accuracy=" in line][-1]
        assert float(last.partition("test_accuracy=")[2].split(";")[0]) > 0.9, done.stdout


def test_samples_come_once_a_pass_in_another_order():
    batches = psrun.Samples(100, batch_size=8)
    first, second = ([number for batch in batches for number in batch] for _ in range(2))
    assert sorted(first) == sorted(second) == list(range(100)) and first != second
    in_order = psrun.Samples(10, batch_size=4, shuffle=False)
    assert list(in_order) == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9]]
    for wrong in ({"samples": 0}, {"samples": 3, "batch_size": 0}):
        with pytest.raises(ValueError, match="at least 1"):
            psrun.Samples(**wrong)


def test_what_is_reported_without_a_job_is_a_line(capsys):
    reported = psrun.report(accuracy=0.5, loss=1, pass_number=2)
    assert capsys.readouterr().out == "pass=3; test_accuracy=0.5000; test_loss=1.0000;\n"
    assert not reported.best and not reported.ended
    with pytest.raises(TypeError, match="no measures"):
        psrun.report()


@pytest.mark.parametrize(
    ("measures", "words"),
    [
        ({"accuracy": 97.0}, "a share from 0 to 1"),
        ({"F1": 0.5}, "lower-case letters"),
        ({"loss": "0.5"}, "expected a number"),
        ({"loss": 0.5, "pass_number": -1}, "a number from 0"),
    ],
)
def test_what_cannot_be_reported_is_named(measures, words):
    with pytest.raises(ValueError, match=words):
        psrun.report(**measures)


def test_regression_a_measure_that_is_no_number_once_ends_no_script(capsys):
    assert not psrun.report(loss=float("nan"), accuracy=0.5).best
    assert "loss: not a finite number" in capsys.readouterr().err


def test_who_has_left_makes_no_more_steps():
    client = psrun.Client({"w": numpy.zeros(3)}, lr=0.1)
    client.leave()
    with pytest.raises(RuntimeError, match="has left"):
        client.step({"w": numpy.ones(3)})
