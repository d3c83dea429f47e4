"""An asynchronous parameter server behind a script of your own.

In a PyTorch script one line changes::

    opt = psrun.AsyncOptimizer(model, "adam", lr=1e-3)   # instead of torch.optim.Adam(model.parameters(), lr=1e-3)

``psrun local --instances 3 -- python train.py`` then runs it in each worker of a job; by itself it starts a server of its own.

``AsyncOptimizer``, ``DataLoader`` and ``sampler`` need torch, ``Client`` needs NumPy: ``help(psrun.AsyncOptimizer)`` and so on; ``Samples``,
``report``, ``resumed`` and ``job`` need neither.
"""

from typing import TYPE_CHECKING, Any, List

from ._job import Job, Resumed, job, resumed
from ._native import Refused, ServerLost, Superseded, __version__
from ._report import Reported, report
from ._samples import Samples

if TYPE_CHECKING:
    from .client import Client
    from .loader import DataLoader, sampler
    from .optimizer import AsyncOptimizer

__all__ = [
    "AsyncOptimizer",
    "Client",
    "DataLoader",
    "Job",
    "Refused",
    "Reported",
    "Resumed",
    "Samples",
    "ServerLost",
    "Superseded",
    "__version__",
    "job",
    "report",
    "resumed",
    "sampler",
]


def __dir__() -> List[str]:
    return sorted(__all__)


def __getattr__(name: str) -> Any:
    # What needs torch, or NumPy, is imported when it is asked for: the rest works without them.
    if name == "AsyncOptimizer":
        from .optimizer import AsyncOptimizer

        return AsyncOptimizer
    if name == "Client":
        from .client import Client

        return Client
    if name in ("DataLoader", "sampler"):
        from . import loader

        return getattr(loader, name)
    raise AttributeError(f"module 'psrun' has no attribute {name!r}")
