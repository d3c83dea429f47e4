"""Logistic regression with NumPy alone: `psrun local --instances 3 -- python regression_numpy.py`, or `python regression_numpy.py`."""

import sys

import numpy

import psrun

SAMPLES, FEATURES, CLASSES, PASSES = 4000, 20, 3, 3

random = numpy.random.default_rng(0)
inputs = random.standard_normal((SAMPLES, FEATURES), dtype=numpy.float32)
labels = inputs[:, :CLASSES].argmax(axis=1)


def probabilities(features):
    outputs = features @ client["weights"] + client["bias"]
    powers = numpy.exp(outputs - outputs.max(axis=1, keepdims=True))
    return powers / powers.sum(axis=1, keepdims=True)


client = psrun.Client({"weights": numpy.zeros((FEATURES, CLASSES)), "bias": numpy.zeros(CLASSES)}, "adam", lr=0.05)
batches = psrun.Samples(SAMPLES, batch_size=32)
for number in range(PASSES):
    for batch in batches:
        errors = probabilities(inputs[batch])
        errors[numpy.arange(len(batch)), labels[batch]] -= 1
        errors /= len(batch)
        client.step({"weights": inputs[batch].T @ errors, "bias": errors.sum(axis=0)})
    client.pull()
    right = (probabilities(inputs).argmax(axis=1) == labels).mean()
    print(f"after pass {number + 1}: accuracy {right:.3f}", file=sys.stderr)
    psrun.report(accuracy=right)
client.leave()
