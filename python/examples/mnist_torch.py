"""A small network on MNIST: `MNIST=folder psrun local --instances 3 -- python mnist_torch.py`, or `MNIST=folder python mnist_torch.py`.

The folder has the four files of the data set, `train-images-idx3-ubyte.gz` and so on. Three lines are about psrun.
"""

import gzip
import os
import sys

import torch
import torch.nn.functional as F

import psrun  # 1


def read(name, offset):
    with gzip.open(os.path.join(os.environ["MNIST"], name)) as file:
        return torch.frombuffer(bytearray(file.read()[offset:]), dtype=torch.uint8)


def images_and_labels(kind):
    images = read(f"{kind}-images-idx3-ubyte.gz", 16).view(-1, 1, 28, 28).float() / 255
    return torch.utils.data.TensorDataset(images, read(f"{kind}-labels-idx1-ubyte.gz", 8).long())


torch.manual_seed(0)
torch.set_num_threads(1)
train, test = images_and_labels("train"), images_and_labels("t10k")
model = torch.nn.Sequential(
    torch.nn.Conv2d(1, 6, 5, padding=2), torch.nn.ReLU(), torch.nn.MaxPool2d(2),
    torch.nn.Conv2d(6, 16, 5), torch.nn.ReLU(), torch.nn.MaxPool2d(2),
    torch.nn.Flatten(), torch.nn.Linear(400, 120), torch.nn.ReLU(), torch.nn.Linear(120, 10),
)
optimizer = psrun.AsyncOptimizer(model, "adam", lr=1e-3)  # 2, instead of torch.optim.Adam(model.parameters(), lr=1e-3)
loader = psrun.DataLoader(train, batch_size=128, shuffle=True)  # 3, instead of torch.utils.data.DataLoader(..)
for number in range(int(os.environ.get("PASSES", "3"))):
    model.train()
    for images, labels in loader:
        optimizer.zero_grad()
        F.cross_entropy(model(images), labels).backward()
        optimizer.step()
    optimizer.pull()
    model.eval()
    with torch.no_grad():
        outputs = model(test.tensors[0])
    accuracy = (outputs.argmax(1) == test.tensors[1]).float().mean().item()
    print(f"pass {number + 1}: accuracy {accuracy:.4f}", file=sys.stderr)
    psrun.report(accuracy=accuracy, loss=F.cross_entropy(outputs, test.tensors[1]).item())
