"""What of a worker's side of the servers is native."""

from typing import Dict, List, Optional, Protocol, Sequence, Tuple

__version__: str

Place = Tuple[int, int]
"""Where numbers lie in memory, and how many."""

class Refused(ValueError):
    """What was asked does not fit what the servers hold, however often it is asked."""

class Superseded(RuntimeError):
    """Another process took this worker's place, or the job no longer counts on it."""

class ServerLost(ConnectionError):
    """A server was away for too long."""

class Change(Protocol):
    """What a step changes of a tensor."""

    tensor: int
    values: Place
    scale: float
    decay: float
    rows: Optional[Place]

class Session:
    """Weights that the servers hold, pulled into one piece of memory, and pushes to them."""

    def __init__(
        self,
        *,
        servers: Sequence[str],
        job: str,
        worker: int,
        identity: Optional[Tuple[int, int]],
        settings: str,
        tensors: Sequence[Tuple[str, List[int], bool, Place]],
        patience_s: float,
    ) -> None: ...
    is_pipelined: bool
    def places(self) -> List[Place]: ...
    def step(self, changes: Sequence[Change], learning_rate: float, loss: float) -> Tuple[int, int]: ...
    def pull(self) -> None: ...
    def settle(self) -> None: ...
    def leave(self) -> None: ...

Offer = Tuple[str, int, int, Tuple[int, int]]
"""``lease``, ``wait``, ``over`` or ``ended``; the lease's number, its pass and its places."""

class Master:
    """A program's line to the master of its job."""

    def __init__(self, *, address: str, job: str, worker: int, incarnation: int) -> None: ...
    def next_samples(
        self,
        *,
        samples: int,
        batch: int,
        number: int,
        finished: List[int],
        gives_back: bool,
        wants_lease: bool,
        waits: bool,
    ) -> Offer: ...
    def report(self, *, measures: Dict[str, float], number: Optional[int], on_validation: bool) -> Tuple[bool, bool, bool]: ...
    def checkpoint(self) -> Tuple[Optional[int], str]: ...
    def keep(self, session: Session) -> Tuple[bool, bool]: ...

def sample_order(seed: int, number: int, samples: int, start: int, end: int) -> List[int]: ...
def training_settings(
    job: Optional[str],
    optimizer: str,
    learning_rate: float,
    options: Dict[str, float],
    rules: Sequence[Tuple[str, float, Optional[float]]],
) -> str: ...
