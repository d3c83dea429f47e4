#!/usr/bin/env python3
"""Samples a second of two workers on one instance over two workers on two, in turn on an idle machine.

    tests/benches/workers_per_instance.py PSRUN [--rounds 7] [options of psrun local ...]
"""

import json
import pathlib
import statistics
import subprocess
import sys
import tempfile

LAYOUTS = {"--instances 2 --workers-per-instance 2": [], "--instances 3": []}


def samples_per_second(psrun, layout, options):
    with tempfile.TemporaryDirectory() as out:
        command = [psrun, "local", *layout.split(), "--out", out, "--log", "warn", *options]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        report = json.loads((pathlib.Path(out) / "report.json").read_text())
    return report["train_samples"] * len(report["passes"]) / report["timings"]["training"]


def main():
    psrun, *options = sys.argv[1:]
    rounds = int(options[options.index("--rounds") + 1]) if "--rounds" in options else 7
    if "--rounds" in options:
        del options[options.index("--rounds") : options.index("--rounds") + 2]
    ratios = []
    for number in range(rounds):
        # Each goes first as often as the other.
        for layout in sorted(LAYOUTS, reverse=number % 2 == 1):
            LAYOUTS[layout].append(samples_per_second(psrun, layout, options))
        shared, apart = (speeds[-1] for speeds in LAYOUTS.values())
        ratios.append(shared / apart)
        print(f"round={number + 1}; one_instance={shared:.0f}; two_instances={apart:.0f}; ratio={ratios[-1]:.3f};", flush=True)
    print(f"ratio_median={statistics.median(ratios):.3f}; ratio_min={min(ratios):.3f}; ratio_max={max(ratios):.3f};")


if __name__ == "__main__":
    main()
