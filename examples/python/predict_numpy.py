"""A model that psrun trained on a table, used without psrun: weights, columns and classes from its folder, with NumPy alone.

    psrun local --data train.csv --out model
    python3 predict_numpy.py model new.csv                   # as `psrun predict --model model --data new.csv`
"""

import csv
import json
import sys

import numpy

# What psrun takes for missing, in any case; the schema has more, as they are written.
MISSING = {"", "na", "n/a", "#n/a", "nan", "null", "none", "?"}


def weights(path):
    """The tensors of a safetensors file: a length, a header in JSON, and the bytes of each."""
    with open(path, "rb") as file:
        header = json.loads(file.read(int.from_bytes(file.read(8), "little")))
        content = file.read()
    header.pop("__metadata__", None)
    part = lambda it: numpy.frombuffer(content[slice(*it["data_offsets"])], "<f4").reshape(it["shape"])
    return {name: part(it) for name, it in header.items()}


def hashed(text, rows):
    """64-bit FNV-1a, modulo the rows."""
    value = 0xCBF29CE484222325
    for byte in text.encode():
        value = (value ^ byte) * 0x100000001B3 % 2**64
    return 1 + value % rows


def encoded(schema, values):
    """Features and ids of one line, whose values are in the order of the schema's columns."""
    features, ids = [], []
    for column, text in zip(schema["columns"], values):
        text, use = text.strip(), column["use"]
        missing = text.lower() in MISSING or text in schema["missing"]
        if use == "numeric":
            number = column["mean"]
            try:
                number = number if missing else float(text.replace(schema["decimal"], "."))
            except ValueError:
                if not column.get("texts_are_missing"):
                    raise
                missing = True
            features.append((number - column["mean"]) / column["deviation"])
        elif use == "categorical":
            features += [float(text == category and not missing) for category in column["categories"]]
        elif use == "embedded":
            known = text in column["categories"] and not missing
            ids.append(1 + column["categories"].index(text) if known else 0)
        elif use == "hashed":
            ids.append(0 if missing else hashed(text, column["rows"]))
        if use in ("numeric", "categorical") and column["missing"]:
            features.append(float(missing))
    return features, ids


def outputs(model, tensors, features, ids):
    """What `mlp`, `linear` and `wide-deep` compute."""
    tables = lambda prefix: [tensors[f"{prefix}embed.column{at + 1}.weight"][ids[:, at]] for at in range(ids.shape[1])]

    def deep(prefix):
        inputs = numpy.concatenate([features, *tables(prefix)], axis=1)
        layers = sum(name.startswith(f"{prefix}layer") and name.endswith("weight") for name in tensors)
        for at in range(1, layers + 1):
            inputs = inputs @ tensors[f"{prefix}layer{at}.weight"].T + tensors[f"{prefix}layer{at}.bias"]
            inputs = inputs if at == layers else numpy.maximum(inputs, 0)
        path = f"{prefix}linear-path"
        if f"{path}.weight" in tensors:
            inputs = inputs + features @ tensors[f"{path}.weight"].T + tensors[f"{path}.bias"]
        return inputs

    def wide(prefix):
        rows = sum(tables(prefix))
        if not features.shape[1]:
            return rows
        return features @ tensors[f"{prefix}layer1.weight"].T + tensors[f"{prefix}layer1.bias"] + rows

    if model == "wide-deep":
        return wide("wide.") + deep("deep.")
    return {"mlp": deep, "linear": wide}[model]("")


def predictions(schema, task, values):
    """What outputs stand for: probabilities, or numbers in the label's own units."""
    if task == "regression":
        scales = [(it["mean"], it["deviation"]) for it in schema["columns"] if it["use"] == "number"]
        return values * [deviation for _, deviation in scales] + [mean for mean, _ in scales]
    if task == "multi-label":
        return 1 / (1 + numpy.exp(-values))
    powers = numpy.exp(values - values.max(axis=1, keepdims=True))
    return powers / powers.sum(axis=1, keepdims=True)


def main(folder, data):
    config, schema = (json.load(open(f"{folder}/{name}.json")) for name in ("config", "schema"))
    with open(data, newline="", encoding="utf-8-sig") as file:
        lines = csv.reader(file, delimiter=schema["delimiter"], skipinitialspace=True)
        lines = [[text.strip() for text in line] for line in lines if line]
    names = [column["name"] for column in schema["columns"]]
    needed = {it["name"] for it in schema["columns"] if it["use"] in ("numeric", "categorical", "embedded", "hashed")}
    if schema["header"] and needed <= set(lines[0]):
        places = [lines[0].index(name) if name in lines[0] else None for name in names]
        lines = [[line[at] if at is not None else "" for at in places] for line in lines[1:]]
    elif any(len(line) != len(names) for line in lines):
        sys.exit(f"{data}: neither the columns {', '.join(names)} nor {len(names)} values in each line")
    rows = [encoded(schema, line) for line in lines]
    features = numpy.array([features for features, _ in rows], dtype=numpy.float32).reshape(len(rows), -1)
    ids = numpy.array([ids for _, ids in rows], dtype=int).reshape(len(rows), -1)
    found = outputs(config["model"], weights(f"{folder}/model.safetensors"), features, ids)
    for row in predictions(schema, config["data"]["task"], found):
        print(",".join(f"{value:.6f}" for value in row))


if __name__ == "__main__":
    main(*sys.argv[1:])
