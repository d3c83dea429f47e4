"""CPU time of a step with our optimizer, that of its server counted, over one with torch's: the mlp of `job.py`, one compute thread."""

import os
import sys
import time

import torch
import torch.nn.functional as F
from job import BATCH, RATE, model

import psrun
from psrun import _alone


def seconds_of(pid: int) -> float:
    with open(f"/proc/{pid}/stat") as file:
        fields = file.read().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def cpu_ms(steps: int, optimizer: torch.optim.Optimizer, network: torch.nn.Module, servers: "list[int]") -> float:
    inputs, labels = torch.randn(BATCH, 784), torch.randint(0, 10, (BATCH,))

    def train(count: int) -> None:
        for _ in range(count):
            optimizer.zero_grad(set_to_none=True)
            F.cross_entropy(network(inputs), labels).backward()
            optimizer.step()

    train(max(steps // 10, 1))
    began = time.process_time() + sum(map(seconds_of, servers))
    train(steps)
    return (time.process_time() + sum(map(seconds_of, servers)) - began) / steps * 1e3


def main() -> None:
    steps = int(sys.argv[1])
    torch.set_num_threads(1)
    network = model("mlp")
    alone = cpu_ms(steps, torch.optim.SGD(network.parameters(), lr=RATE), network, [])
    network = model("mlp")
    optimizer = psrun.AsyncOptimizer(network, "sgd", lr=RATE)
    beside = cpu_ms(steps, optimizer, network, [server.pid for server in _alone.SERVERS])
    print(f"step_cpu_over_torch={beside / alone:.4f}; torch_ms={alone:.3f}; psrun_ms={beside:.3f};")


if __name__ == "__main__":
    main()
