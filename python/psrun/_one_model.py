"""The servers of a job hold one model: a script has one optimizer, or one client."""

import atexit
import sys
import weakref
from typing import Any, Dict

from . import _native
from ._job import Job

#: By the job's name, what holds its model in this process.
_HOLDERS: "weakref.WeakValueDictionary[str, Any]" = weakref.WeakValueDictionary()

#: Sessions that may have steps under way, by the job's name: their holder may be gone before these are done.
_SESSIONS: Dict[str, _native.Session] = {}


def holder_of(job: Job) -> Any:
    """What holds the model of this job; ``None`` where nothing does."""
    return _HOLDERS.get(job.name)


def settle() -> None:
    """Waits until every push that this process has begun is acknowledged (``--pipeline-depth``)."""
    for session in list(_SESSIONS.values()):
        session.settle()


def connected(job: Job, session: _native.Session) -> None:
    """This is the session of what holds the model of this job."""
    if session.is_pipelined:
        _SESSIONS[job.name] = session


def _settle_at_exit() -> None:
    try:
        settle()
    except Exception as error:
        print(f"psrun: steps that were under way at the end of the script may be lost: {error}", file=sys.stderr)


atexit.register(_settle_at_exit)


def claim(holder: Any, job: Job) -> None:
    who = type(holder).__name__
    if job.name in _HOLDERS:
        raise RuntimeError(
            f"{who}: this script has one already, and the servers of a job hold one model: give one optimizer all models as a "
            "torch.nn.ModuleDict, or their parameters as groups; a Client takes all arrays"
        )
    _HOLDERS[job.name] = holder
