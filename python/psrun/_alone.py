"""A server of one's own, for a script that runs without a job."""

import atexit
import os
import shutil
import subprocess
import sys
import sysconfig
from typing import List, Optional

from ._job import Job

#: What was started so, and ends with this process.
SERVERS: "List[subprocess.Popen[str]]" = []


def program() -> str:
    """Where the program `psrun` is that was installed with this module."""
    beside = os.path.join(sysconfig.get_path("scripts"), "psrun")
    found: Optional[str] = beside if os.access(beside, os.X_OK) else shutil.which("psrun")
    if found is None:
        raise RuntimeError(
            f"psrun: no program `psrun` in {os.path.dirname(beside)} or on the PATH, which a script without a job needs for a "
            "server of its own; install the wheel, or run the script in a job: `psrun local --instances 3 -- python train.py`"
        )
    return found


def job_of_its_own() -> Job:
    """Starts a server on this machine, which ends with this process: its standard input does then."""
    name = f"alone-{os.getpid()}-{len(SERVERS)}"
    command = [program(), "ps-server", "--shard", "0", "--listen", "127.0.0.1:0", "--job-id", name, "--exit-with-parent"]
    variables = {key: value for key, value in os.environ.items() if not key.startswith("PS_")}
    variables["PS_LOG"] = "warn"
    server = subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=variables, text=True, start_new_session=True
    )
    SERVERS.append(server)
    atexit.register(_end, server)
    assert server.stdout is not None
    line = server.stdout.readline()
    told = dict(part.strip().split("=", 1) for part in line.split(";") if "=" in part)
    address = told.get("listening")
    if address is None:
        raise RuntimeError(f"psrun: {command[0]} ps-server ended with {server.wait()} and said where it listens: {line!r}")
    print(f"psrun: no job runs this script: it has a server of its own at {address} (pid {server.pid})", file=sys.stderr)
    return Job(servers=(address,), name=name, worker=0, workers=1, identity=None)


def _end(server: "subprocess.Popen[str]") -> None:
    server.terminate()
    try:
        server.wait(timeout=5)
    except subprocess.TimeoutExpired:
        server.kill()
