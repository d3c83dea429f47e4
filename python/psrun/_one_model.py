"""The servers of a job hold one model: a script has one optimizer, or one client."""

import weakref
from typing import Any

from ._job import Job

#: By the job's name, what holds its model in this process.
_HOLDERS: "weakref.WeakValueDictionary[str, Any]" = weakref.WeakValueDictionary()


def holder_of(job: Job) -> Any:
    """What holds the model of this job; ``None`` where nothing does."""
    return _HOLDERS.get(job.name)


def claim(holder: Any, job: Job) -> None:
    who = type(holder).__name__
    if job.name in _HOLDERS:
        raise RuntimeError(
            f"{who}: this script has one already, and the servers of a job hold one model: give one optimizer all models as a "
            "torch.nn.ModuleDict, or their parameters as groups; a Client takes all arrays"
        )
    _HOLDERS[job.name] = holder
