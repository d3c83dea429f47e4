#!/usr/bin/env python3
"""Our optimizer for PyTorch beside what its users have today, in turn, on this machine.

    PS_BENCH_PEERS=../shared/peers MNIST_DIR=../shared/data/mnist python/bench/run.py [--rounds 7] [--steps 300] [NAME ..]

Run it with a Python into which torch and the wheel are installed. NAME is one or more of mlp, cnn, cpu, accuracy, start; without one
it is all. `PS_BENCH_PEERS` names the folder with pt_dense.py and mx_dense.py; PS_BENCH_MXNET a Python with MXNet. Lines with `=` are
for machines: medians, and the least and the most.
"""

import argparse
import json
import os
import re
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).resolve().parent
PROGRAM = [str(Path(sys.executable).parent / "psrun")]


def run(command, **variables):
    environment = {**os.environ, **{key: str(value) for key, value in variables.items()}}
    done = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=900)
    if done.returncode != 0:
        sys.exit(f"{' '.join(map(str, command))}: exited with {done.returncode}\n{done.stdout[-2000:]}{done.stderr[-2000:]}")
    return done.stdout


def ours(model, steps):
    """Samples a second of two workers and three servers."""
    with tempfile.TemporaryDirectory() as out:
        command = [*PROGRAM, "local", "--instances", "3", "--out", out, "--", sys.executable, str(HERE / "job.py"), model, str(steps)]
        told = re.findall(r"samples_per_s=(\d+);", run(command))
    assert len(told) == 2, told
    return sum(map(float, told))


def peer(python, script, *words):
    folder = os.environ.get("PS_BENCH_PEERS")
    if folder is None:
        sys.exit("PS_BENCH_PEERS: it is not set; the folder with pt_dense.py")
    out = run([python, str(Path(folder).resolve() / script), *map(str, words)])
    line = next(line for line in out.splitlines() if line.startswith("RESULT "))
    return float(json.loads(line[len("RESULT "):])["samples_s"])


def figure(name, values):
    values = sorted(values)
    print(f"{name}={statistics.median(values):.3f}; least={values[0]:.3f}; most={values[-1]:.3f};", flush=True)


def beside_peers(model, rounds, steps):
    ratios = {}
    for number in range(rounds):
        # Two workers share the peers' steps; ours counts those of each.
        speed = ours(model, steps // 2)
        speeds = {"rpc": peer(sys.executable, "pt_dense.py", "rpc", model, steps)}
        if model == "mlp":
            speeds["ddp"] = peer(sys.executable, "pt_dense.py", "ddp", model, steps)
        if model == "mlp" and "PS_BENCH_MXNET" in os.environ:
            speeds["mxnet"] = peer(os.environ["PS_BENCH_MXNET"], "mx_dense.py", "dist", model, steps)
        for other, theirs in speeds.items():
            ratios.setdefault(other, []).append(speed / theirs)
        words = ", ".join(f"{other} {theirs:.0f}" for other, theirs in speeds.items())
        print(f"{model}, round {number + 1}, samples/s: psrun {speed:.0f}, {words}", file=sys.stderr, flush=True)
    for other, values in ratios.items():
        figure(f"python_{model}_samples_per_s_over_{other}", values)


def parts(script, *words):
    """What a script of this folder measured: its lines, as numbers."""
    found = re.findall(r"(\w+)=([-0-9.]+);", run([sys.executable, str(HERE / script), *map(str, words)]))
    return {name: float(value) for name, value in found}


def each_round(script, rounds, words, names):
    told = [parts(script, *words, number) for number in range(rounds)]
    for name in names:
        figure(f"python_{name}", [it[name] for it in told])


def start(rounds):
    """From `pip install` of the wheel, torch there already, to the end of the first step."""
    wheel = max((HERE.parent.parent / "target/python/wheels").glob("*.whl"), default=None)
    if wheel is None:
        sys.exit("target/python/wheels: no wheel: python/build makes one")
    figure("python_wheel_mb", [wheel.stat().st_size / 1e6])
    each_round("first_step.py", rounds, [wheel], ["install_to_first_step_s"])


def main():
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--rounds", type=int, default=7)
    arguments.add_argument("--steps", type=int, default=300)
    arguments.add_argument("names", nargs="*", metavar="NAME")
    told = arguments.parse_args()
    os.environ.setdefault("MNIST_DIR", str(HERE.parent.parent.parent / "shared/data/mnist"))
    os.environ["MNIST_DIR"] = str(Path(os.environ["MNIST_DIR"]).resolve())
    everything = {
        "mlp": lambda: beside_peers("mlp", told.rounds, told.steps),
        "cnn": lambda: beside_peers("cnn", told.rounds, max(told.steps // 5, 2)),
        "cpu": lambda: each_round("step_cpu.py", told.rounds, [told.steps], ["step_cpu_over_torch"]),
        "accuracy": lambda: each_round("accuracy.py", 3, [], ["accuracy_lost_points"]),
        "start": lambda: start(told.rounds),
    }
    unknown = set(told.names) - set(everything)
    if unknown:
        arguments.error(f"no {', '.join(sorted(unknown))}: expected {', '.join(everything)}")
    for name, measure in everything.items():
        if not told.names or name in told.names:
            measure()


if __name__ == "__main__":
    main()
