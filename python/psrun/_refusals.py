"""Gradients that the servers refused, told now and then."""

import sys


class Refusals:
    """Counts steps with values that are not finite, and tells of the 1st, the 2nd, the 4th and so on."""

    def __init__(self) -> None:
        self._steps = 0

    def tell(self, chunks: int) -> None:
        if not chunks:
            return
        self._steps += 1
        if self._steps & (self._steps - 1) == 0:
            print(
                f"psrun: the servers refused {chunks} chunks of a gradient: values that are not finite; {self._steps} steps so far",
                file=sys.stderr,
            )
