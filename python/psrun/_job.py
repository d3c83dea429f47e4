"""This process's place in a job, as `ps-worker -- python train.py` tells it."""

import os
from dataclasses import dataclass
from typing import Mapping, Optional, Tuple

#: Its presence says that a worker runs this process.
_INCARNATION = "PS_INCARNATION"


@dataclass(frozen=True)
class Job:
    """Where the servers are, and which of the workers this process is."""

    servers: Tuple[str, ...]
    """Address of shard i at position i."""
    name: str
    """The job's id: servers of another job refuse this process."""
    worker: int
    """Which worker it is, from 0."""
    workers: int
    """Of how many."""
    identity: Optional[Tuple[int, int]]
    """Incarnation and epoch, where `ps-worker` speaks to a master for this process."""
    settings: Optional[str] = None
    """How the job trains, as JSON."""
    master: Optional[str] = None
    """Where the master is, who leases samples."""
    resumed: "Optional[Resumed]" = None
    """Where the job was when this process began; ``None`` at its beginning."""


@dataclass(frozen=True)
class Resumed:
    """Where a job is that goes on from a checkpoint, or that this worker joined late."""

    pass_number: int
    """The pass that is open, from 0, where scripts take their samples from the master."""
    checkpoint: Optional[int]
    """The checkpoint that the job went on from."""


def job(variables: Optional[Mapping[str, str]] = None) -> Optional[Job]:
    """What this process was told of its job; ``None`` when nobody runs it as a worker.

    >>> job({}) is None
    True
    >>> job({"PS_INCARNATION": "7", "PS_EPOCH": "1", "PS_JOB_ID": "j", "PS_SERVER_ADDRESSES": "a:1,b:2",
    ...      "PS_WORKER_INDEX": "1", "PS_WORKERS": "2"}).servers
    ('a:1', 'b:2')
    """
    variables = os.environ if variables is None else variables
    if _INCARNATION not in variables:
        return None

    def text(name: str) -> str:
        if name not in variables:
            raise RuntimeError(
                f"environment variable {name}: it is not set; `psrun local -- python train.py` and "
                "`ps-worker -- python train.py` set it"
            )
        return variables[name]

    def number(name: str) -> int:
        found = text(name)
        try:
            return int(found)
        except ValueError:
            raise RuntimeError(f"environment variable {name}: found `{found}`, expected a number") from None

    resumed = None
    if "PS_RESUMED_PASS" in variables:
        checkpoint = number("PS_RESUMED_CHECKPOINT") if "PS_RESUMED_CHECKPOINT" in variables else None
        resumed = Resumed(number("PS_RESUMED_PASS"), checkpoint)
    return Job(
        servers=tuple(address.strip() for address in text("PS_SERVER_ADDRESSES").split(",")),
        name=text("PS_JOB_ID"),
        worker=number("PS_WORKER_INDEX"),
        workers=number("PS_WORKERS"),
        identity=(number(_INCARNATION), number("PS_EPOCH")),
        settings=variables.get("PS_SETTINGS"),
        master=variables.get("PS_PROGRAM_MASTER"),
        resumed=resumed,
    )


def resumed() -> Optional[Resumed]:
    """Where the job was when this script began; ``None`` at its beginning, and without a job.

    A loop over ``psrun.DataLoader`` needs nothing of it: passes that are over are over at once.
    """
    place = job()
    return place.resumed if place is not None else None
