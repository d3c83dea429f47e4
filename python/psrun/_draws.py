"""Samples to train on, lease by lease: from the master of a job, or all of them, in this worker's own order."""

import json
import sys
from collections import deque
from typing import Deque, Dict, List, Optional, Tuple

from . import _native
from ._job import Job, job

#: By the name of the job.
_MASTERS: Dict[str, _native.Master] = {}


#: The pass that this script is in or was in last, from 0.
_passes_begun: List[int] = []
#: The pass of the first samples that this script got.
_first_pass: List[int] = []
#: Whether the job wants no more steps.
_ended: List[bool] = []


def current_pass() -> Optional[int]:
    """The pass that this script is in, or was in last, from 0; ``None`` where it draws no samples from here."""
    return _passes_begun[-1] if _passes_begun else None


def was_there(number: Optional[int]) -> bool:
    """Whether this script trained in this pass, or could have: not in one that was over before it drew its first samples."""
    return number is None or not _passes_begun or (bool(_first_pass) and number >= _first_pass[0])


def has_ended() -> bool:
    """Whether the job was found to want no more steps."""
    return bool(_ended)


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
        self._passes = 0
        self._held: Deque[Tuple[int, int]] = deque()
        self._finished: List[int] = []
        self._trained = 0
        self._gives_back = False
        self._over = True
        self._next: Optional[List[int]] = None

    def begin_pass(self) -> None:
        """The next pass begins; what was drawn and not trained goes to others."""
        self._gives_back = self._gives_back or bool(self._held)
        self._held.clear()
        self._trained = 0
        self._passes += 1
        _passes_begun[:] = [self._passes - 1]
        self._over = False
        self._next = None

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
            _first_pass[:] = _first_pass or [0]
            self._held.append((0, self._samples))
            return self._order(self._passes - 1, 0, self._samples)
        kind, lease, number, (start, end) = self._ask(wants_lease=True, waits=waits)
        if kind == "ended":
            _ended[:] = [True]
        if kind == "lease":
            _first_pass[:] = _first_pass or [number]
            self._held.append((lease, end - start))
            return self._order(number, start, end)
        self._over = kind != "wait"
        return None

    def _ask(self, wants_lease: bool, waits: bool) -> "_native.Offer":
        assert self._master is not None
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
        """Tells the master what was trained, where it would not hear of it soon; what was not goes to others."""
        self._gives_back = self._gives_back or bool(self._held)
        self._held.clear()
        self._over = True
        if self._master is not None and (self._finished or self._gives_back):
            self._ask(wants_lease=False, waits=False)
