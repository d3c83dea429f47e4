"""The models of the benchmark in PyTorch, one compute thread: trains for a while whenever a line
asks, and prints samples per second."""
import os
import resource
import sys
import time

import torch
from torch import nn
from torch.nn import functional as F

torch.set_num_threads(1)
torch.manual_seed(0)
CONTEXT, WIDTH, HEADS, LAYERS = 64, 256, 4, 4
DEVICE = os.environ.get("PS_BENCH_DEVICE", "cpu")


def mlp():
    return nn.Sequential(
        nn.Linear(784, 512), nn.ReLU(), nn.Linear(512, 512), nn.ReLU(), nn.Linear(512, 10)
    )


def lenet():
    return nn.Sequential(
        nn.Unflatten(1, (1, 28, 28)),
        nn.Conv2d(1, 32, 5, padding=2), nn.ReLU(), nn.MaxPool2d(2),
        nn.Conv2d(32, 64, 5, padding=2), nn.ReLU(), nn.MaxPool2d(2),
        nn.Flatten(), nn.Linear(3136, 512), nn.ReLU(), nn.Linear(512, 10),
    )


class Residual(nn.Module):
    def __init__(self, inputs, outputs, stride):
        super().__init__()
        self.inner = nn.Sequential(
            nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False), nn.BatchNorm2d(outputs),
            nn.ReLU(), nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False), nn.BatchNorm2d(outputs),
        )
        same = inputs == outputs and stride == 1
        self.around = nn.Identity() if same else nn.Sequential(
            nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs)
        )

    def forward(self, images):
        return F.relu(self.inner(images) + self.around(images))


def resnet():
    return nn.Sequential(
        nn.Unflatten(1, (1, 28, 28)),
        nn.Conv2d(1, 16, 3, padding=1, bias=False), nn.BatchNorm2d(16), nn.ReLU(),
        Residual(16, 16, 1), Residual(16, 32, 2), Residual(32, 64, 2),
        nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(64, 10),
    )


class Block(nn.Module):
    def __init__(self):
        super().__init__()
        self.attention_norm, self.norm = nn.LayerNorm(WIDTH), nn.LayerNorm(WIDTH)
        self.inputs, self.outputs = nn.Linear(WIDTH, 3 * WIDTH), nn.Linear(WIDTH, WIDTH)
        self.wide, self.narrow = nn.Linear(WIDTH, 4 * WIDTH), nn.Linear(4 * WIDTH, WIDTH)

    def forward(self, values):
        samples = values.shape[0]
        parts = self.inputs(self.attention_norm(values)).split(WIDTH, 2)
        heads = [p.view(samples, CONTEXT, HEADS, -1).transpose(1, 2) for p in parts]
        attended = F.scaled_dot_product_attention(*heads, is_causal=True)
        values = values + self.outputs(attended.transpose(1, 2).reshape(samples, CONTEXT, WIDTH))
        return values + self.narrow(F.gelu(self.wide(self.norm(values)), approximate="tanh"))


class Transformer(nn.Module):
    def __init__(self):
        super().__init__()
        self.bytes, self.places = nn.Embedding(256, WIDTH), nn.Embedding(CONTEXT, WIDTH)
        self.blocks = nn.Sequential(*[Block() for _ in range(LAYERS)])
        self.norm, self.classes = nn.LayerNorm(WIDTH), nn.Linear(WIDTH, 256)

    def forward(self, features):
        values = self.bytes(features) + self.places(torch.arange(CONTEXT, device=DEVICE))
        return self.classes(self.norm(self.blocks(values))).flatten(0, 1)


def main(name):
    text = name == "transformer-tiny"
    made = {"mlp": mlp, "lenet": lenet, "resnet-tiny": resnet, "transformer-tiny": Transformer}
    model = made[name]().to(DEVICE)
    optimizer = torch.optim.SGD(model.parameters(), 0.01)
    features = torch.randint(0, 256, (8192, CONTEXT)) if text else torch.rand(8192, 784)
    labels = torch.randint(0, 256, (8192, CONTEXT)) if text else torch.randint(0, 10, (8192,))
    batch, window = 128, {"mlp": 1, "transformer-tiny": 6}.get(name, 3)

    def step(number):
        rows = torch.arange(number * batch, (number + 1) * batch) % 8192
        optimizer.zero_grad(set_to_none=True)
        inputs, expected = features[rows].to(DEVICE), labels[rows].flatten().to(DEVICE)
        loss = F.cross_entropy(model(inputs), expected)
        loss.backward()
        optimizer.step()
        loss.item()  # As a training loop does that watches its loss; waits for a GPU.

    for number in range(3):
        step(number)
    print("ready", flush=True)
    number = 3
    for _ in sys.stdin:
        begun, first = time.perf_counter(), number
        while time.perf_counter() - begun < window:
            step(number)
            number += 1
        seconds = time.perf_counter() - begun
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        print((number - first) * batch / seconds, "nan nan", peak, flush=True)


main(sys.argv[1])
