"""A server of one's own, for a script that runs without a job."""

import atexit
import json
import os
import shutil
import subprocess
import sys
import sysconfig
from typing import List, Mapping, Optional

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


#: How launchers of several processes say how many they have started.
_LAUNCHERS = ("WORLD_SIZE", "OMPI_COMM_WORLD_SIZE", "PMI_SIZE", "SLURM_STEP_NUM_TASKS")


def refuse_one_of_many(variables: Mapping[str, str]) -> None:
    """Each of several processes with a server of its own would be as many models, and nobody would notice.

    >>> refuse_one_of_many({"SM_HOSTS": '["algo-1"]', "WORLD_SIZE": "1"})
    """
    hosts = variables.get("SM_HOSTS", "")
    try:
        listed = json.loads(hosts) if hosts else []
    except ValueError:
        listed = []
    if isinstance(listed, list) and len(listed) > 1:
        raise RuntimeError(
            f"psrun: this is one of {len(listed)} hosts (SM_HOSTS={hosts}) and no job runs this script: each would train a model of "
            "its own. Have `train` start it: with SDK 2's estimators by distribution={'parameter_server': {'enabled': True}} and the "
            "image parameter-server-pytorch; with SDK 3 by SourceCode(source_dir=.., command='train') and the hyperparameters "
            "entry_point='train.py' and sagemaker_parameter_server_enabled=True"
        )
    for name in _LAUNCHERS:
        if variables.get(name, "").isdecimal() and int(variables[name]) > 1:
            raise RuntimeError(
                f"psrun: a launcher has started {variables[name]} of this script ({name}) and no job runs them: each would train a "
                f"model of its own. On one machine: `psrun local --instances {int(variables[name]) + 1} -- python train.py`; on several, "
                "`ps-worker --master ADDR -- python train.py` on each"
            )


def job_of_its_own() -> Job:
    """Starts a server on this machine, which ends with this process: its standard input does then."""
    refuse_one_of_many(os.environ)
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
    print(f"psrun: no job runs this script: it has a server of its own at {address} (pid {server.pid}), and no model is written for it", file=sys.stderr)
    return Job(servers=(address,), name=name, worker=0, workers=1, identity=None)


def _end(server: "subprocess.Popen[str]") -> None:
    server.terminate()
    try:
        server.wait(timeout=5)
    except subprocess.TimeoutExpired:
        server.kill()
