#!/usr/bin/env python3
"""Whether a job that goes on and on takes more and more: memory of each of its processes, and what lies in its folder.

    tests/benches/soak.py PSRUN [--minutes N] [--only memory|wal]

PSRUN is the program. Two jobs, one after the other, each for so many minutes (15): digits, mlp, 3 instances, as fast as they
go with --durability memory, and one of a larger model with --durability wal (how much its servers write is told). A figure is
what there was at the end over what there was after the first minute, each the median of 20 s: of the memory of all processes together, of
the role that has grown most, and of the folder with results, logs and journals (its largest size within the 20 s,
for a journal grows and is cut off). In the end the job is told to end, and is to leave nobody behind.
"""
import argparse
import os
import re
import signal
import statistics
import subprocess
import sys
import tempfile
import time

WINDOW_S = 20
PERIOD_S = 1
JOBS = {
    "memory": [],
    # 1.1 million weights: 4.4 MB a push, and what a checkpoint or a journal's base has of them.
    "wal": ["--hidden", "1024,1024", "--durability", "wal"],
}


def processes(job):
    """The job's processes, by what they are."""
    found = {}
    for name in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{name}/stat") as file:
                parent = int(file.read().rsplit(")", 1)[1].split()[1])
            with open(f"/proc/{name}/cmdline", "rb") as file:
                words = file.read().decode().split("\0")
        except (OSError, ValueError):
            continue
        if int(name) == job:
            found["psrun"] = job
        elif parent == job:
            index = [word for word in words if word.startswith(("--shard", "--rank", "--role", "--index"))]
            found[" ".join([words[1], *index, name])] = int(name)
    return found


def resident_bytes(pid):
    with open(f"/proc/{pid}/statm") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def folder_bytes(folder):
    total = 0
    for where, _, names in os.walk(folder):
        for name in names:
            try:
                total += os.stat(os.path.join(where, name)).st_blocks * 512
            except OSError:
                pass
    return total


def watch(job, folder):
    """Memory of each process, and the folder's size, over a window."""
    memory, sizes = {}, []
    for _ in range(WINDOW_S // PERIOD_S):
        for who, pid in processes(job).items():
            memory.setdefault(who, []).append(resident_bytes(pid))
        sizes.append(folder_bytes(folder))
        time.sleep(PERIOD_S)
    return {who: statistics.median(sizes) for who, sizes in memory.items()}, max(sizes)


def written_bytes(pid):
    with open(f"/proc/{pid}/io") as file:
        return int(re.search(r"^write_bytes: (\d+)", file.read(), re.M).group(1))


def soak(psrun, durability, minutes):
    with tempfile.TemporaryDirectory(dir=".") as out:
        command = [psrun, "local", "--instances", "3", "--passes", "100000000", "--out", out, *JOBS[durability]]
        job = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        begun = time.monotonic()
        time.sleep(60 - WINDOW_S)
        first, first_folder = watch(job.pid, out)
        servers = [pid for who, pid in processes(job.pid).items() if "ps-server" in who]
        written, since = sum(map(written_bytes, servers)), time.monotonic()
        time.sleep(max(0, begun + 60 * minutes - WINDOW_S - time.monotonic()))
        written_mb_per_s = (sum(map(written_bytes, servers)) - written) / (time.monotonic() - since) / 1e6
        last, last_folder = watch(job.pid, out)
        pids = processes(job.pid).values()
        job.send_signal(signal.SIGTERM)
        code = job.wait(timeout=60)
        left = [pid for pid in pids if os.path.exists(f"/proc/{pid}")]
    if first.keys() != last.keys() or code != 143 or left:
        sys.exit(f"{durability}: {sorted(first)} became {sorted(last)}, exit code {code}, left {left}")
    for who in sorted(first):
        print(f"{who:24} {first[who] / 2**20:8.1f} MiB {last[who] / 2**20:8.1f} MiB", file=sys.stderr)
    memory = sum(last.values()) / sum(first.values())
    most = max(last[who] / first[who] for who in first)
    disk = last_folder / first_folder
    print(
        f"soak_durability={durability}; soak_minutes={minutes}; soak_memory_over_first={memory:.3f}; "
        f"soak_role_memory_over_first={most:.3f}; soak_folder_over_first={disk:.3f}; soak_folder_mb={last_folder / 1e6:.1f}; "
        f"soak_servers_write_mb_per_s={written_mb_per_s:.1f};",
        flush=True,
    )


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("psrun")
    parser.add_argument("--minutes", type=float, default=15)
    parser.add_argument("--only", choices=JOBS)
    args = parser.parse_args()
    for durability in [args.only] if args.only else JOBS:
        soak(args.psrun, durability, args.minutes)


main()
