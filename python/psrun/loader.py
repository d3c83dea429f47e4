"""torch's data loaders on the samples of a job."""

import atexit
import sys
import weakref
from collections import deque
from typing import Any, Deque, Iterator, List, Optional, Sized

import torch.utils.data as data

from ._draws import Draws

#: What decides which samples come is the job.
_DECIDED = ("sampler", "batch_sampler")


class DataLoader(data.DataLoader):  # type: ignore[type-arg]
    """torch's ``DataLoader``, on the samples that the master of the job leases to this worker.

    Each ``for`` over it is a pass: every sample is trained in it by one worker, and by another one if that dies. A batch counts as
    trained when the loop comes for the next one. Without a job it has all samples.

    ``len()`` is of the whole pass, of all workers together.
    """

    def __init__(
        self, dataset: Any, batch_size: int = 1, shuffle: bool = True, *, seed: Optional[int] = None, **options: Any
    ) -> None:
        for option in _DECIDED:
            if options.get(option) is not None:
                raise TypeError(f"psrun.DataLoader: {option} is not taken: the job decides which samples come; see psrun.sampler")
        if isinstance(dataset, data.IterableDataset):
            raise TypeError(
                "psrun.DataLoader: an IterableDataset has no samples that can be leased: use torch's DataLoader, and let each worker "
                "read a part of its own (psrun.job().worker of psrun.job().workers)"
            )
        if not options.get("in_order", True):
            raise TypeError("psrun.DataLoader: in_order=False is not taken: which samples were trained is counted in their order")
        if not isinstance(batch_size, int) or batch_size < 1:
            raise ValueError(f"psrun.DataLoader: batch_size={batch_size!r}: expected a number from 1")
        self._batches = _Batches(Draws(len(dataset), batch_size, shuffle, seed), len(dataset), batch_size, options.pop("drop_last", False))
        super().__init__(dataset, batch_sampler=self._batches, **options)

    def __iter__(self) -> Any:
        return self._pass()

    def _pass(self) -> Iterator[Any]:
        draws = self._batches.draws
        draws.begin_pass()
        self._batches.sizes.clear()
        try:
            # Once, but for what others died with.
            while draws.has_more():
                for batch in super().__iter__():
                    yield batch
                    draws.trained(self._batches.sizes.popleft())
                draws.all_trained()
        finally:
            draws.tell()


class _Batches(data.Sampler[List[int]]):
    """Batches of the numbers of samples, as long as there are some that nobody has."""

    def __init__(self, draws: Draws, samples: int, batch_size: int, drop_last: bool) -> None:
        self.draws = draws
        self.sizes: Deque[int] = deque()
        self._samples = samples
        self._batch = batch_size
        self._drop_last = drop_last

    def __iter__(self) -> Iterator[List[int]]:
        batch: List[int] = []
        while (drawn := self.draws.draw()) is not None:
            for number in drawn:
                batch.append(number)
                if len(batch) == self._batch:
                    self.sizes.append(len(batch))
                    yield batch
                    batch = []
        if batch and not self._drop_last:
            self.sizes.append(len(batch))
            yield batch

    def __len__(self) -> int:
        whole, rest = divmod(self._samples, self._batch)
        return whole + (1 if rest and not self._drop_last else 0)


class Sampler(data.Sampler[int]):
    """A sampler for a loader of somebody else's, on the samples that the master of the job leases to this worker.

    It does not see when a sample is trained: what it drew in a pass counts when the next one begins, or when the script ends well.
    ``psrun.DataLoader`` counts each batch.
    """

    def __init__(self, dataset: Sized, *, batch_size: int = 1, shuffle: bool = True, seed: Optional[int] = None) -> None:
        if isinstance(dataset, data.IterableDataset):
            raise TypeError("psrun.sampler: an IterableDataset has no samples that can be leased")
        self._samples = len(dataset)
        self._draws = Draws(self._samples, batch_size, shuffle, seed)
        atexit.register(_end, weakref.ref(self))

    def __iter__(self) -> Iterator[int]:
        draws = self._draws
        draws.all_trained()
        draws.begin_pass()
        # What is left when all others have it comes with the next pass, unless nothing of ours holds them up.
        try:
            while (drawn := draws.draw(waits=draws.is_idle)) is not None:
                yield from drawn
        finally:
            draws.end_pass()

    def __len__(self) -> int:
        return self._samples


def sampler(dataset: Sized, *, batch_size: int = 1, shuffle: bool = True, seed: Optional[int] = None) -> Sampler:
    """The samples of ``dataset`` that the master of the job leases to this worker, for a loader of somebody else's.

    With the ``batch_size`` of the loader leases are of whole batches.
    """
    return Sampler(dataset, batch_size=batch_size, shuffle=shuffle, seed=seed)


def _end(known: "weakref.ReferenceType[Sampler]") -> None:
    """The script ends: if not with an exception, what was drawn was trained."""
    ended = known()
    if ended is None:
        return
    if getattr(sys, "last_value", None) is None:
        ended._draws.all_trained()
    try:
        ended._draws.tell()
    except Exception as error:
        print(f"psrun: the master did not hear which samples were trained: {error}", file=sys.stderr)
