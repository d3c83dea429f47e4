#!/usr/bin/env python3
"""What the defaults learn, beside scikit-learn's logistic regression: the figures of docs/adr/0031 and 0035.

    tests/benches/defaults.py PSRUN ADULT [--seeds N]

PSRUN is the program, ADULT a folder with adult.data and adult.test (a header each). Needs scikit-learn and pandas.
One line for each job, or each cell of small sets: name=value; pairs. A run of 20 seeds takes some ten minutes on two cores.
A cell of small sets is ok=true if the mean is at most a point, and no seed more than two test rows, below logistic regression.
"""
import argparse
import math
import random
import re
import subprocess
import tempfile
from pathlib import Path

try:
    import pandas
    import sklearn
except ImportError as missing:
    raise SystemExit(f"skipped: {missing}; pip install scikit-learn pandas, or apt-get install python3-sklearn python3-pandas")
from pandas.api.types import is_numeric_dtype
from sklearn.compose import make_column_transformer
from sklearn.datasets import load_digits, make_classification
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

TEST_ROWS = 100


def friedman(rows, seed):
    """Friedman #1 with noise of deviation 1 (Friedman, 1991)."""
    draw = random.Random(seed)
    lines = []
    for _ in range(rows):
        x = [draw.random() for _ in range(10)]
        y = (10 * math.sin(math.pi * x[0] * x[1]) + 20 * (x[2] - 0.5) ** 2 + 10 * x[3] + 5 * x[4]
             + draw.gauss(0, 1))
        lines.append([round(value, 6) for value in [*x, y]])
    return pandas.DataFrame(lines, columns=[f"x{at}" for at in range(1, 11)] + ["y"])


def sample(kind, adult, rows, seed):
    if kind == "adult":
        table = adult.sample(rows + TEST_ROWS, random_state=seed)
    elif kind == "digits":
        digits = load_digits()
        table = pandas.DataFrame(digits.data.astype(int)).add_prefix("p")
        table["digit"] = digits.target
        table = table.sample(rows + TEST_ROWS, random_state=seed)
    else:
        inputs, labels = make_classification(rows + TEST_ROWS, 10, n_informative=5, random_state=seed)
        table = pandas.DataFrame(inputs.round(6)).add_prefix("x")
        table["class"] = labels
    return table.iloc[:rows], table.iloc[rows:]


def logistic(train, test):
    inputs, labels = train.iloc[:, :-1], train.iloc[:, -1]
    numbers = [name for name in inputs if is_numeric_dtype(inputs[name])]
    texts = [name for name in inputs if name not in numbers]
    columns = make_column_transformer(
        (make_pipeline(SimpleImputer(), StandardScaler()), numbers),
        (OneHotEncoder(handle_unknown="ignore"), texts))
    model = make_pipeline(columns, LogisticRegression(max_iter=1000)).fit(inputs, labels)
    return (model.predict(test.iloc[:, :-1]) == test.iloc[:, -1]).mean()


def job(psrun, measure, train, test, seed):
    """What a job of three instances ends with."""
    with tempfile.TemporaryDirectory() as folder:
        data = ["--data", train, "--test", test]
        if isinstance(train, pandas.DataFrame):
            for name, table in [("train", train), ("test", test)]:
                table.to_csv(f"{folder}/{name}.csv", index=False)
            data = ["--data", folder]
        done = subprocess.run(
            [psrun, "local", "--instances", "3", *data, "--header", "yes", "--seed", str(seed),
             "--out", f"{folder}/out"], text=True, capture_output=True)
        found = re.search(rf"final_test_{measure}=([0-9.eE+-]+);", done.stdout)
        if found is None:
            raise SystemExit(f"no final_test_{measure}\n{done.stderr[-2000:]}")
        return float(found.group(1))


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("psrun")
    parser.add_argument("adult", type=Path)
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--small-only", action="store_true", help="the small sets alone")
    args = parser.parse_args()
    files = [str(args.adult / name) for name in ["adult.data", "adult.test"]]
    for seed in range(1, 1 if args.small_only else 4):
        auc = job(args.psrun, "auc", *files, seed)
        rmse = job(args.psrun, "rmse", friedman(20_000, 1), friedman(20_000, 2), seed)
        print(f"seed={seed}; adult_auc={auc:.4f}; friedman_rmse={rmse:.4f};", flush=True)
    adult = pandas.read_csv(files[0], skipinitialspace=True)
    for kind in ["adult", "digits", "made"]:
        for rows in [40, 150, 1000]:
            differences = []
            for seed in range(args.seeds):
                train, test = sample(kind, adult, rows, seed)
                ours = job(args.psrun, "accuracy", train, test, seed)
                differences.append(100 * (ours - logistic(train, test)))
            mean = sum(differences) / len(differences)
            # A test row is a point of 100; the last bit of a mean is none.
            ok = mean >= -1 - 1e-9 and min(differences) >= -2 - 1e-9
            print(f"set={kind}; rows={rows}; mean_points={mean:.2f}; worst_points={min(differences):.0f}; "
                  f"ok={str(ok).lower()}; sklearn={sklearn.__version__};", flush=True)


if __name__ == "__main__":
    main()
