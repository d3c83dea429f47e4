"""Writes optimizers.json: what PyTorch's optimizers and schedules do, for ps-core to be held to.

    pip install torch
    python tests/reference/optimizers.py

Weight decay is decoupled for every optimizer here: the weights are multiplied by 1 - lr * decay
before the step. For AdamW, PyTorch does that itself. Every number that ps-core keeps as f32
(weights, gradients, rates, momentum, decay) is rounded to f32 first, so that both start alike.
"""

import json
import pathlib
import random
import struct

import torch
from torch.optim import lr_scheduler

ELEMENTS = 19
STEPS = 40
CHECKED = [1, 2, 10, STEPS]
DECAYS = [0.0, 0.05]


def single(value):
    """The nearest f32, as a Python float."""
    return struct.unpack("<f", struct.pack("<f", value))[0]


def inputs():
    """Weights and gradients of many sizes, with some gradients of exactly zero."""
    draw = random.Random(7)
    weights = [single(draw.gauss(0, 1)) for _ in range(ELEMENTS)]
    gradients = []
    for _ in range(STEPS):
        row = [single(draw.gauss(0, 1) * 10 ** draw.uniform(-5, 1)) for _ in range(ELEMENTS)]
        row[draw.randrange(ELEMENTS)] = 0.0
        gradients.append(row)
    return weights, gradients


def optimizers(decay):
    """Name, momentum, learning rate, and PyTorch's optimizer over given parameters."""
    optim = torch.optim
    mu = single(0.9)
    return [
        ("sgd", None, 0.1, lambda p, lr: optim.SGD(p, lr)),
        ("momentum", mu, 0.01, lambda p, lr: optim.SGD(p, lr, momentum=mu)),
        ("nesterov", mu, 0.01, lambda p, lr: optim.SGD(p, lr, momentum=mu, nesterov=True)),
        ("adagrad", None, 0.05, lambda p, lr: optim.Adagrad(p, lr)),
        ("rmsprop", None, 0.002, lambda p, lr: optim.RMSprop(p, lr)),
        ("adam", None, 0.001, lambda p, lr: optim.Adam(p, lr)),
        ("adamw", None, 0.001, lambda p, lr: optim.AdamW(p, lr, weight_decay=decay)),
    ]


def run(case, decay, weights, gradients):
    """The weights after the checked steps of one optimizer."""
    name, momentum, rate, make = case
    rate, decay = single(rate), single(decay)
    parameter = torch.nn.Parameter(torch.tensor(weights, dtype=torch.float32))
    optimizer = make([parameter], rate)
    after = {}
    for number, gradient in enumerate(gradients, start=1):
        if decay and name != "adamw":
            with torch.no_grad():
                parameter.mul_(1 - rate * decay)
        parameter.grad = torch.tensor(gradient, dtype=torch.float32)
        optimizer.step()
        if number in CHECKED:
            after[number] = parameter.detach().tolist()
    return {
        "name": name,
        "momentum": momentum,
        "weight_decay": decay,
        "learning_rate": rate,
        "after": after,
    }


def rates(steps, base, make):
    """The rate of each of so many steps under PyTorch's schedules, all applied at once."""
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], base)
    schedulers = make(optimizer)
    found = []
    for _ in range(steps + 1):
        found.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        for scheduler in schedulers:
            scheduler.step()
    return found


def schedules():
    """Courses of the rate over jobs of a given number of steps."""
    base, steps = 0.3, 60
    step = {"name": "step", "every": 1 / 6, "factor": 0.5}
    cosine = {"name": "cosine", "minimum": 0.1}
    falling = {"name": "cosine", "minimum": 0.0}

    def warm(optimizer):
        return lr_scheduler.LinearLR(optimizer, start_factor=0.01, total_iters=15)

    def stepped(optimizer):
        return lr_scheduler.StepLR(optimizer, step_size=10, gamma=0.5)

    def wave(optimizer, minimum=0.0):
        return lr_scheduler.CosineAnnealingLR(optimizer, T_max=steps, eta_min=minimum)

    cases = [
        ({"name": "constant"}, 0.0, lambda o: []),
        (step, 0.0, lambda o: [stepped(o)]),
        (cosine, 0.0, lambda o: [wave(o, 0.1 * base)]),
        ({"name": "constant"}, 0.25, lambda o: [warm(o)]),
        (step, 0.25, lambda o: [warm(o), stepped(o)]),
        (falling, 0.25, lambda o: [warm(o), wave(o)]),
    ]
    return [
        {"base": base, "schedule": schedule, "warmup": warmup, "rates": rates(steps, base, make)}
        for schedule, warmup, make in cases
    ]


def main():
    weights, gradients = inputs()
    table = {
        "torch": torch.__version__,
        "weights": weights,
        "gradients": gradients,
        "optimizers": [
            run(case, decay, weights, gradients) for decay in DECAYS for case in optimizers(decay)
        ],
        "schedules": schedules(),
    }
    path = pathlib.Path(__file__).with_name("optimizers.json")
    path.write_text(json.dumps(table, separators=(",", ":")) + "\n")


if __name__ == "__main__":
    main()
