"""What a script measured, told to its job."""

import math
import re
import sys
from dataclasses import dataclass
from typing import Any, Dict, Optional

from . import _native
from ._draws import PROGRESS, master
from ._job import Job, job
from ._one_model import holder_of

#: What a measure may be called in a metric line.
_NAME = re.compile(r"[a-z0-9_]{1,64}")


@dataclass(frozen=True)
class Reported:
    """What follows from a report."""

    best: bool
    """Whether the measures are the best so far, where the job compares them (``--early-stop-after``, ``--keep best``)."""
    ended: bool
    """Whether the job wants no more steps: the script may end its loop."""


def report(*, pass_number: Optional[int] = None, validation: bool = False, **measures: float) -> Reported:
    """Tells the job what was measured: ``psrun.report(accuracy=0.97, loss=0.1)``.

    It becomes a metric line (``pass=1; test_accuracy=0.9700; test_loss=0.1000;``), a part of ``report.json``, and what the job ends
    early by (``--early-stop-after``): then ``report(..).ended`` says so, and the loop may end. With ``--keep best`` the weights that the
    optimizer took last are sent to the master when they are the best so far, and are the model in the end. Names have lower-case letters, digits and
    underscores; values are numbers (a report with one that is not finite is not told), and ``accuracy`` is a share from 0 to 1. ``validation``: on a validation set, else on the test set. ``pass_number`` is
    from 0; without it it is the pass that the script drew samples of last.

    Only worker 0 is heard, so that a script may call it in every worker; and nobody of a pass that was over before the script got its
    first samples, as in a job that it joined late or that goes on from a checkpoint. Take the newest weights first (``optimizer.pull()``).
    """
    if not measures:
        raise TypeError("psrun.report: no measures; for example psrun.report(accuracy=0.97)")
    numbers = _checked(measures, pass_number)
    lost = sorted(name for name, value in numbers.items() if not math.isfinite(value))
    if lost:
        # One such measure is no reason to end a long job.
        print(f"psrun.report: {', '.join(lost)}: not a finite number; nothing of this report is told", file=sys.stderr)
        return Reported(best=False, ended=PROGRESS.has_ended)
    pass_number = PROGRESS.pass_number if pass_number is None else pass_number
    place = job()
    if PROGRESS.has_ended:
        return Reported(best=False, ended=True)
    is_of_before = not PROGRESS.was_there(pass_number) or (place is not None and _is_of_before(place, pass_number))
    if is_of_before or (place is not None and place.worker != 0):
        return Reported(best=False, ended=False)
    line = master(place)
    if line is not None:
        best, ended, wanted = line.report(measures=numbers, number=pass_number, on_validation=validation)
        if wanted:
            best, ended = line.keep(_measured_session(place))
        return Reported(best=best, ended=ended)
    words = "validation" if validation else "test"
    begin = [] if pass_number is None else [f"pass={pass_number + 1};"]
    print(" ".join(begin + [f"{words}_{name}={value:.4f};" for name, value in sorted(numbers.items())]), flush=True)
    return Reported(best=False, ended=False)


def _measured_session(place: Optional[Job]) -> _native.Session:
    """Where the weights are that were measured."""
    holder = None if place is None else holder_of(place)
    if holder is None:
        raise RuntimeError(
            "psrun.report: the job keeps the best weights (--keep best), and this script has no AsyncOptimizer or Client whose weights were "
            "measured: make it before the first report, and hold it until the last"
        )
    session: _native.Session = holder._session
    return session


def _checked(measures: Dict[str, Any], pass_number: Optional[int]) -> Dict[str, float]:
    """The same alone and in a job."""
    if pass_number is not None and (not isinstance(pass_number, int) or pass_number < 0):
        raise ValueError(f"psrun.report: pass_number={pass_number!r}: expected a number from 0")
    for name, value in measures.items():
        if not _NAME.fullmatch(name):
            raise ValueError(f"psrun.report: a measure {name!r}: expected a name of 1 to 64 lower-case letters, digits and underscores")
        if isinstance(value, str):
            raise ValueError(f"psrun.report: {name}={value!r}: expected a number")
        if name == "accuracy" and math.isfinite(float(value)) and not 0 <= float(value) <= 1:
            raise ValueError(f"psrun.report: accuracy={value!r}: expected a share from 0 to 1")
    return {name: float(value) for name, value in measures.items()}


def _is_of_before(place: Job, pass_number: Optional[int]) -> bool:
    """Whether the pass was over when this script began: it has the weights of later ones."""
    return place.resumed is not None and pass_number is not None and pass_number < place.resumed.pass_number
