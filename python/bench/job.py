"""A worker of the MNIST jobs of the peers, with our optimizer: batches of 128, plain SGD, one compute thread. Says how fast it is."""

import gzip
import os
import sys
import time

import torch
import torch.nn.functional as F
from torch import nn

import psrun

BATCH, RATE, WARM_UP, WINDOWS = 128, 0.1, 20, 3


def model(name: str) -> nn.Module:
    torch.manual_seed(0)
    if name == "mlp":
        return nn.Sequential(nn.Linear(784, 512), nn.ReLU(), nn.Linear(512, 512), nn.ReLU(), nn.Linear(512, 10))
    return nn.Sequential(
        nn.Unflatten(1, (1, 28, 28)), nn.Conv2d(1, 32, 5, padding=2), nn.ReLU(), nn.MaxPool2d(2),
        nn.Conv2d(32, 64, 5, padding=2), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(3136, 512), nn.ReLU(), nn.Linear(512, 10),
    )


def read(name: str, offset: int) -> torch.Tensor:
    with gzip.open(os.path.join(os.environ["MNIST_DIR"], name)) as file:
        return torch.frombuffer(bytearray(file.read()[offset:]), dtype=torch.uint8)


def images_and_labels(kind: str) -> "tuple[torch.Tensor, torch.Tensor]":
    images = read(f"{kind}-images-idx3-ubyte.gz", 16).view(-1, 784).float() / 255
    return images, read(f"{kind}-labels-idx1-ubyte.gz", 8).long()


def main() -> None:
    name, steps = sys.argv[1], int(sys.argv[2])
    torch.set_num_threads(1)
    inputs, labels = images_and_labels("train")
    network = model(name)
    optimizer = psrun.AsyncOptimizer(network, "sgd", lr=RATE)
    job = psrun.job()
    assert job is not None
    torch.manual_seed(job.worker + 1)

    def train(count: int) -> None:
        for _ in range(count):
            chosen = torch.randint(0, len(inputs), (BATCH,))
            optimizer.zero_grad(set_to_none=True)
            F.cross_entropy(network(inputs[chosen]), labels[chosen]).backward()
            optimizer.step()

    train(WARM_UP)
    speeds = []
    for _ in range(WINDOWS):
        began = time.perf_counter()
        train(steps)
        speeds.append(steps * BATCH / (time.perf_counter() - began))
    print(f"samples_per_s={sorted(speeds)[WINDOWS // 2]:.0f};", flush=True)


if __name__ == "__main__":
    main()
