"""Points of accuracy that a LeNet-like network on MNIST has less after three passes with our optimizer, two workers and three servers, than
with torch alone. The last word is the seed."""

import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

import torch
import torch.nn.functional as F
from job import BATCH, images_and_labels
from torch import nn

import psrun

PASSES, RATE = 3, 1e-3


def network() -> nn.Module:
    return nn.Sequential(
        nn.Unflatten(1, (1, 28, 28)), nn.Conv2d(1, 6, 5, padding=2), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(6, 16, 5), nn.ReLU(),
        nn.MaxPool2d(2), nn.Flatten(), nn.Linear(400, 120), nn.ReLU(), nn.Linear(120, 84), nn.ReLU(), nn.Linear(84, 10),
    )


def trained(seed: int, in_job: bool) -> float:
    torch.set_num_threads(1)
    torch.manual_seed(seed)
    train, (inputs, labels) = torch.utils.data.TensorDataset(*images_and_labels("train")), images_and_labels("t10k")
    model = network()
    if in_job:
        optimizer = psrun.AsyncOptimizer(model, "adam", lr=RATE)
        loader = psrun.DataLoader(train, batch_size=BATCH, seed=seed)
    else:
        optimizer = torch.optim.Adam(model.parameters(), lr=RATE)
        loader = torch.utils.data.DataLoader(train, batch_size=BATCH, shuffle=True)
    for _ in range(PASSES):
        for features, classes in loader:
            optimizer.zero_grad()
            F.cross_entropy(model(features), classes).backward()
            optimizer.step()
    if in_job:
        optimizer.pull()
    with torch.no_grad():
        return (model(inputs).argmax(1) == labels).float().mean().item()


def main() -> None:
    seed = int(sys.argv[-1])
    if psrun.job() is not None:
        print(f"accuracy={trained(seed, in_job=True):.4f};", flush=True)
        return
    program = Path(sys.executable).parent / "psrun"
    with tempfile.TemporaryDirectory() as out:
        command = [str(program), "local", "--instances", "3", "--seed", str(seed), "--out", out]
        command += ["--", sys.executable, os.path.abspath(__file__), str(seed)]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
    of_job = max(map(float, re.findall(r"accuracy=([0-9.]+);", done.stdout)))
    alone = trained(seed, in_job=False)
    print(f"accuracy_lost_points={100 * (alone - of_job):.3f}; torch_accuracy={alone:.4f}; psrun_accuracy={of_job:.4f};")


if __name__ == "__main__":
    main()
