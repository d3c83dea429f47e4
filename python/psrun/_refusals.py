"""Gradients that the servers refused: told now and then, and the end of a script that learns nothing any more."""

import json
import sys
from typing import Optional

#: So many steps in a row are no accident; as many as end a job with a model of the project's own.
_STEPS_MAX = 50


class Refusals:
    """Counts steps with values that are not finite, and tells of the 1st, the 2nd, the 4th and so on."""

    def __init__(self, settings: Optional[str]) -> None:
        self._divergence = json.loads(settings).get("divergence", "stop") if settings else "stop"
        self._steps = 0
        self._in_a_row = 0

    def tell(self, chunks: int) -> None:
        """Takes notice of a step of which so many chunks were refused.

        Raises FloatingPointError where too many steps in a row were, unless the job has ``--divergence warn`` or ``off``.
        """
        if not chunks:
            self._in_a_row = 0
            return
        self._steps += 1
        self._in_a_row += 1
        if self._divergence != "off" and self._steps & (self._steps - 1) == 0:
            print(
                f"psrun: the servers refused {chunks} chunks of a gradient: values that are not finite; {self._steps} steps so far",
                file=sys.stderr,
            )
        if self._divergence == "stop" and self._in_a_row >= _STEPS_MAX:
            raise FloatingPointError(
                f"psrun: {self._in_a_row} steps in a row had gradients with values that are not finite (NaN or infinite), which the servers "
                "refuse: nothing of them is learnt. Take a smaller rate, or clip the gradients (torch.nn.utils.clip_grad_norm_); look for "
                "such values in the data. A job with --divergence warn goes on all the same"
            )
