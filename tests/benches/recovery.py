#!/usr/bin/env python3
"""How soon a job goes on whose server or master was killed: from `kill -9` to the end of the second pass after it.

    tests/benches/recovery.py PSRUN [--rounds N]

PSRUN is the program. The job is the main one (digits, mlp, 3 instances) with --durability wal. A pass that ends has had leases
handed out and pushes applied on every server; the first may have been through before the kill. So each figure is more than what it
bounds: the time to the next push that is applied, or to the next lease, and up to two passes, which are told as well.
"""
import argparse
import os
import re
import signal
import statistics
import subprocess
import tempfile
import time


def child(job, word):
    """The process of this job with this word in its command line."""
    for name in os.listdir("/proc"):
        try:
            with open(f"/proc/{name}/cmdline", "rb") as file:
                words = file.read().decode().split("\0")
            with open(f"/proc/{name}/stat") as file:
                parent = int(file.read().rsplit(")", 1)[1].split()[1])
        except (OSError, ValueError):
            continue
        if parent == job and word in words:
            return int(name)
    return None


def next_pass(lines):
    for line in lines:
        if re.match(r"pass=\d+;", line):
            return
    raise SystemExit("the job has ended: the machine is too fast for so few passes")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("psrun")
    parser.add_argument("--rounds", type=int, default=7)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as out:
        command = [args.psrun, "local", "--instances", "3", "--passes", "100000", "--durability", "wal", "--out", out]
        job = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        lines = iter(job.stdout.readline, "")
        next_pass(lines)
        begun = time.monotonic()
        for _ in range(20):
            next_pass(lines)
        print(f"pass_s={(time.monotonic() - begun) / 20:.3f};", flush=True)
        for role, word in [("server", "--shard=1"), ("master", "ps-master")]:
            took = []
            for _ in range(args.rounds):
                next_pass(lines)
                killed = time.monotonic()
                os.kill(child(job.pid, word), signal.SIGKILL)
                next_pass(lines)
                next_pass(lines)
                took.append(time.monotonic() - killed)
                # Who dies over and over is started again ever later.
                time.sleep(0.2)
            print(f"{role}_back_within_s={statistics.median(took):.3f}; {role}_back_within_s_max={max(took):.3f};", flush=True)
        job.terminate()
        job.stdout.close()
        job.wait()


main()
