#!/usr/bin/env python3
"""Tables read, predicted and served, beside pandas, PyTorch and Flask: the figures of docs/performance.md, "Tables".

    tests/benches/tables.py PSRUN [--only csv,predict,serve] [--rounds N] [--megabytes M]

PSRUN is the program; `read_table`, an example of ps-data, is looked for in `examples` beside it. The Python that runs this
needs pandas, torch, flask and safetensors. Each side runs on one core (`taskset`), in turn in every round, on files that
are made from a seed and lie in the page cache; a ratio is of neighbours. One line for each figure: the median of the rounds,
with the least and the most. Where more is better it is ours over theirs, of times theirs over ours; of `p50` ours over theirs.
"""
import argparse
import json
import re
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy
import pandas

sys.path.insert(0, str(Path(__file__).parent / "tables"))
from requests_by_hand import Client, started

COLUMNS = 100
PEERS = Path(__file__).parent / "tables" / "peers.py"
CORE = "0"


def table(file, megabytes, digits, seed):
    """Numbers with a header and a label of two classes; `digits` behind the point, or as many as `f64` has."""
    draw = numpy.random.default_rng(seed)
    begun = file.open("w")
    names = [f"x{at}" for at in range(COLUMNS)]
    while begun.tell() < megabytes * 1_000_000:
        inputs = draw.standard_normal((10_000, COLUMNS))
        rows = pandas.DataFrame(inputs, columns=names)
        rows["label"] = (inputs[:, :5].sum(axis=1) > 0).astype(int)
        rows.to_csv(begun, index=False, header=begun.tell() == 0, float_format=digits)
    begun.close()


def run(*command):
    done = subprocess.run(["taskset", "-c", CORE, *map(str, command)], text=True, capture_output=True)
    if done.returncode:
        raise SystemExit(f"{command}: exit code {done.returncode}\n{done.stderr[-2000:]}")
    return done.stdout


def pairs(text):
    return {name: float(value) for name, value in re.findall(r"(\w+)=([0-9.eE+-]+);", text)}


def tell(name, values, unit=1):
    low, middle, high = min(values), statistics.median(values), max(values)
    print(f"{name}={middle / unit:.3f}; {name}_least={low / unit:.3f}; {name}_most={high / unit:.3f};", flush=True)


def csv(args, folder):
    """Reading alone, and with the pass that learns the schema, as a job does before it trains."""
    read_table = Path(args.psrun).parent / "examples" / "read_table"
    for kind, digits in [("short", "%.6f"), ("long", None)]:
        file = folder / f"{kind}.csv"
        table(file, args.megabytes / 2, digits, seed=1)
        ours, theirs = [], []
        for _ in range(args.rounds):
            ours.append(pairs(run(read_table, file)))
            theirs.append(pairs(run(sys.executable, PEERS, "read", file)))
        size = file.stat().st_size / 1e6
        for what in ["read", "load"]:
            ratios = [their["read_s"] / our[f"{what}_s"] for our, their in zip(ours, theirs)]
            tell(f"{kind}_{what}_over_pandas", ratios)
            tell(f"{kind}_{what}_mb_per_s", [size / our[f"{what}_s"] for our in ours])
        tell(f"{kind}_pandas_mb_per_s", [size / their["read_s"] for their in theirs])


def predict(args, folder, model):
    """Rows a second, the start of the programs taken off: theirs says itself what it took, ours is run on one line, too."""
    file, one = folder / "predict.csv", folder / "one.csv"
    table(file, args.megabytes, "%.6f", seed=2)
    with file.open() as lines:
        one.write_text(next(lines) + next(lines))
        rows = sum(1 for _ in lines) + 1
    ours, theirs, shorter = [], [], []
    for _ in range(args.rounds):
        seconds = {}
        for data in [one, file]:
            began = time.perf_counter()
            run(args.psrun, "predict", "--model", model, "--data", data, "--out", folder / "ours.csv", "--threads", 1)
            seconds[data] = time.perf_counter() - began
        ours.append(rows / (seconds[file] - seconds[one]))
        their = pairs(run(sys.executable, PEERS, "predict", model, file, folder / "theirs.csv"))
        theirs.append(rows / their["all_s"])
        shorter.append(rows / (their["all_s"] - their["write_s"]))
    check(folder)
    tell("predict_over_torch", [our / their for our, their in zip(ours, theirs)])
    # As if PyTorch's side had nothing to write at all.
    tell("predict_over_torch_unwritten", [our / their for our, their in zip(ours, shorter)])
    tell("predict_rows_per_s", ours)
    tell("predict_torch_rows_per_s", theirs)


def check(folder):
    """Both have predicted the same."""
    ours, theirs = pandas.read_csv(folder / "ours.csv"), pandas.read_csv(folder / "theirs.csv")
    assert len(ours) == len(theirs), f"{len(ours)} and {len(theirs)} predictions"
    apart = (ours["p_1"] - theirs["p_1"]).abs().max()
    assert apart < 1e-4, f"probabilities differ by {apart}"


def serve(args, model):
    """One row a request, and a hundred; a connection each, as Flask's server has it, and for ours one for all, too."""
    draw = numpy.random.default_rng(3)
    rows = draw.standard_normal((100, COLUMNS)).round(6).tolist()
    document = lambda some: json.dumps({"instances": some}).encode()
    lines = "\n".join(",".join(map(str, row)) for row in rows).encode() + b"\n"
    ours = [args.psrun, "serve", "--model", model, "--listen", "127.0.0.1:0", "--threads", "1"]
    with started(CORE, ours) as our, started(CORE, [sys.executable, str(PEERS), "serve", model]) as their:
        found = {}
        for _ in range(args.rounds):
            for side, client in [("ours", Client(our)), ("theirs", Client(their))]:
                def take(name, kind, body, count, keep=False):
                    found.setdefault((name, side), []).append(client.p50(kind, body, count, keep))
                take("one", "application/json", document(rows[:1]), args.requests)
                take("json", "application/json", document(rows), args.requests // 4)
                take("csv", "text/csv", lines, args.requests // 4)
                if side == "ours":
                    take("kept", "application/json", document(rows[:1]), args.requests, keep=True)
    both = lambda name: list(zip(found[name, "ours"], found[name, "theirs"]))
    tell("serve_p50_over_flask", [our / their for our, their in both("one")])
    for kind in ["json", "csv"]:
        tell(f"serve_{kind}_rows_over_flask", [their / our for our, their in both(kind)])
        tell(f"serve_{kind}_rows_per_s", [len(rows) / our for our, _ in both(kind)])
    tell("serve_p50_us", [our for our, _ in both("one")], 1e-6)
    tell("serve_kept_p50_us", found["kept", "ours"], 1e-6)
    tell("serve_flask_p50_us", [their for _, their in both("one")], 1e-6)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("psrun")
    parser.add_argument("--only", default="csv,predict,serve")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--megabytes", type=float, default=200)
    parser.add_argument("--requests", type=int, default=400)
    args = parser.parse_args()
    only = args.only.split(",")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        if "csv" in only:
            csv(args, folder)
        if "predict" in only or "serve" in only:
            (folder / "train").mkdir()
            table(folder / "train" / "train.csv", 2, "%.6f", seed=4)
            model = folder / "model"
            run(args.psrun, "local", "--instances", 1, "--data", folder / "train", "--model", "mlp", "--out", model)
            if "predict" in only:
                predict(args, folder, model)
            if "serve" in only:
                serve(args, model)


if __name__ == "__main__":
    main()
