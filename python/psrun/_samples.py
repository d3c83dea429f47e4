"""Loops over the samples of a job."""

from typing import Iterator, List, Optional

from ._draws import Draws


class Samples:
    """The numbers of samples to train on, batch by batch: each ``for`` over it is a pass.

    In a job the master leases them, so that each sample is trained in each pass by one worker, and by another one if that dies.
    A batch counts as trained when the loop comes for the next one.

    >>> sorted(number for batch in Samples(10, batch_size=4) for number in batch)
    [0, 1, 2, 3, 4, 5, 6, 7, 8, 9]
    """

    def __init__(self, samples: int, batch_size: int = 1, *, shuffle: bool = True, seed: Optional[int] = None) -> None:
        if batch_size < 1:
            raise ValueError(f"psrun.Samples: batch_size={batch_size}: expected at least 1")
        self._batch = batch_size
        self._draws = Draws(samples, batch_size, shuffle, seed)

    def __iter__(self) -> Iterator[List[int]]:
        draws = self._draws
        draws.begin_pass()
        try:
            while draws.has_more():
                drawn = draws.draw() or []
                for start in range(0, len(drawn), self._batch):
                    batch = drawn[start : start + self._batch]
                    yield batch
                    draws.trained(len(batch))
        finally:
            draws.tell()
