"""Samples to train on, lease by lease: from the master of a job, or all of them, in this worker's own order."""

import json
import sys
import weakref
from collections import deque
from dataclasses import dataclass
from typing import Deque, Dict, List, Optional, Tuple

from . import _native, _one_model
from ._job import Job, job

#: By the name of the job.
_MASTERS: Dict[str, _native.Master] = {}


@dataclass
class _Progress:
    """How far this script is in its samples."""

    pass_number: Optional[int] = None
    """The pass that it is in, or was in last, from 0; ``None`` where it draws no samples from here."""
    first: Optional[int] = None
    """The pass of the first samples that it got."""
    has_ended: bool = False
    """Whether the job was found to want no more steps."""
    samples: Optional[int] = None
    """How many samples the job has, by the first loader of this script that a master leases some to."""
    in_pass: "Optional[weakref.ReferenceType[Draws]]" = None
    """Who is in the middle of a pass."""

    def was_there(self, number: Optional[int]) -> bool:
        """Whether the script trained in this pass, or could have: not in one that was over before it got its first samples."""
        return number is None or self.pass_number is None or (self.first is not None and number >= self.first)


PROGRESS = _Progress()


def master(place: Optional[Job]) -> Optional[_native.Master]:
    """This program's line to the master of its job; ``None`` where nobody leads one."""
    if place is None or place.master is None or place.identity is None:
        return None
    known = _MASTERS.get(place.name)
    if known is None:
        incarnation, _ = place.identity
        known = _native.Master(address=place.master, job=place.name, worker=place.worker, incarnation=incarnation)
        _MASTERS[place.name] = known
    return known


class Draws:
    """Draws samples pass by pass, and says which were trained.

    A lease counts as trained when as many samples were trained as had been drawn up to its end: they are trained in the order in
    which they are drawn.
    """

    def __init__(self, samples: int, batch_size: int, shuffle: bool, seed: Optional[int], place: Optional[Job] = None) -> None:
        if samples < 1:
            raise ValueError(f"psrun: a data set of {samples} samples: expected at least 1")
        place = place or job()
        self._samples = samples
        self._batch = batch_size
        self._shuffle = shuffle
        self._master = master(place)
        told = json.loads(place.settings).get("seed") if place is not None and place.settings else None
        self._seed: int = seed if seed is not None else told or 0
        if place is not None and self._master is None:
            # Each worker for itself: in orders of their own.
            self._seed += place.worker << 32
            print("psrun: no master leads this job: this worker trains on all samples, in an order of its own", file=sys.stderr)
        if self._master is not None and PROGRESS.samples not in (None, samples):
            raise ValueError(
                f"psrun: a data set of {samples} samples, and the master leases those of one of {PROGRESS.samples} to this script already: a "
                "job has one training set; for a test set take torch's own DataLoader"
            )
        if self._master is not None:
            PROGRESS.samples = samples
        # One that is made anew in each pass goes on where the one before was.
        self._passes = 0 if PROGRESS.pass_number is None else PROGRESS.pass_number + 1
        self._held: Deque[Tuple[int, int]] = deque()
        self._finished: List[int] = []
        self._trained = 0
        self._gives_back = False
        self._over = True
        self._next: Optional[List[int]] = None

    def begin_pass(self) -> None:
        """The next pass begins; what was drawn and not trained goes to others."""
        other = PROGRESS.in_pass() if PROGRESS.in_pass is not None else None
        if other is not None and other is not self:
            raise RuntimeError("psrun: another loader of this script is in the middle of a pass, and the samples of a pass are one loader's")
        PROGRESS.in_pass = weakref.ref(self)
        self._gives_back = self._gives_back or bool(self._held)
        self._held.clear()
        self._trained = 0
        self._passes += 1
        PROGRESS.pass_number = self._passes - 1
        self._over = False
        self._next = None

    def end_pass(self) -> None:
        """Nothing more is drawn of the pass."""
        if PROGRESS.in_pass is not None and PROGRESS.in_pass() is self:
            PROGRESS.in_pass = None

    def has_more(self) -> bool:
        """Whether there is anything left of the pass, perhaps of what others had and died with; waits until that is known."""
        if self._next is None:
            self._next = self._draw(waits=True)
        return self._next is not None

    def draw(self, waits: bool = False) -> Optional[List[int]]:
        """The next samples of the pass; ``None`` when there are none, or, unless it waits, when all that is left is with others."""
        drawn, self._next = self._next, None
        return drawn if drawn is not None else self._draw(waits)

    def _draw(self, waits: bool) -> Optional[List[int]]:
        if self._over:
            return None
        if self._master is None:
            self._over = True
            PROGRESS.first = 0
            self._held.append((0, self._samples))
            return self._order(self._passes - 1, 0, self._samples)
        kind, lease, number, (start, end) = self._ask(wants_lease=True, waits=waits)
        if kind == "ended":
            PROGRESS.has_ended = True
        if kind == "lease":
            PROGRESS.first = number if PROGRESS.first is None else PROGRESS.first
            self._held.append((lease, end - start))
            return self._order(number, start, end)
        self._over = kind != "wait"
        return None

    def _ask(self, wants_lease: bool, waits: bool) -> "_native.Offer":
        assert self._master is not None
        if self._finished:
            # Trained is what is acknowledged.
            _one_model.settle()
        finished, gives_back = self._finished, self._gives_back
        # If Ctrl-C ends the wait, what was answered is not known: it is given back with the next request.
        self._finished, self._gives_back = [], True
        offer = self._master.next_samples(
            samples=self._samples,
            batch=self._batch,
            number=max(self._passes - 1, 0),
            finished=finished,
            gives_back=gives_back,
            wants_lease=wants_lease,
            waits=waits,
        )
        self._gives_back = False
        return offer

    def _order(self, number: int, start: int, end: int) -> List[int]:
        if not self._shuffle:
            return list(range(start, end))
        return _native.sample_order(self._seed, number, self._samples, start, end)

    def trained(self, samples: int) -> None:
        """So many more of the samples that were drawn were trained, and their pushes acknowledged."""
        self._trained += samples
        while self._held and self._held[0][1] <= self._trained:
            lease, count = self._held.popleft()
            self._trained -= count
            self._finished.append(lease)

    def all_trained(self) -> None:
        """All that was drawn was trained."""
        self._finished += [lease for lease, _ in self._held]
        self._held.clear()
        self._trained = 0

    @property
    def is_idle(self) -> bool:
        """Whether nothing that was drawn is yet to be trained."""
        return not self._held

    def tell(self) -> None:
        """The pass ends: the master is told what was trained, where it would not hear of it soon; what was not goes to others."""
        self.end_pass()
        self._gives_back = self._gives_back or bool(self._held)
        self._held.clear()
        self._over = True
        if self._master is not None and (self._finished or self._gives_back):
            self._ask(wants_lease=False, waits=False)
