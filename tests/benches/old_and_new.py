#!/usr/bin/env python3
"""The same job with two builds of psrun, in turn: whether the newer one is slower, or costs more.

    tests/benches/old_and_new.py OLD NEW --data MNIST [--rounds N] [-- OPTION ..]

OLD and NEW are programs, MNIST a folder with its four IDX files. The job: mlp, 3 instances, 3 passes, `memory`; options after `--` are
given to both. A figure is NEW's over OLD's of the same round: CPU seconds of all processes per sample, start and end
included, and samples a second of training.
"""
import argparse
import json
import os
import statistics
import subprocess
import tempfile

PASSES = 3


def run(psrun, data, options):
    """CPU microseconds a sample, samples a second."""
    with tempfile.TemporaryDirectory() as out:
        command = [psrun, "local", "--instances", "3", "--data", data, "--model", "mlp", "--passes", str(PASSES), "--seed", "1"]
        job = subprocess.Popen([*command, "--out", out, *options], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        # Of psrun, and of all that it has waited for.
        _, status, usage = os.wait4(job.pid, 0)
        if os.waitstatus_to_exitcode(status):
            raise SystemExit(f"{' '.join(command)}: it failed")
        with open(os.path.join(out, "report.json")) as file:
            report = json.load(file)
    samples = PASSES * report["train_samples"]
    return (usage.ru_utime + usage.ru_stime) * 1e6 / samples, samples / report["timings"]["training"]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("old")
    parser.add_argument("new")
    parser.add_argument("--data", required=True)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("options", nargs="*")
    args = parser.parse_args()
    cpu, rate = [], []
    for _ in range(args.rounds):
        (old_cpu, old_rate), (new_cpu, new_rate) = [run(psrun, args.data, args.options) for psrun in (args.old, args.new)]
        print(f"old_cpu_us={old_cpu:.1f}; new_cpu_us={new_cpu:.1f}; old_samples_per_s={old_rate:.0f}; new_samples_per_s={new_rate:.0f};", flush=True)
        cpu.append(new_cpu / old_cpu)
        rate.append(new_rate / old_rate)
    for name, ratios in [("cpu_over_old", cpu), ("samples_per_s_over_old", rate)]:
        print(f"{name}={statistics.median(ratios):.3f}; least={min(ratios):.3f}; most={max(ratios):.3f};")


main()
