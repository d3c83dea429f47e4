"""For scripts with Lightning: a loader whose end tells how long it was, and a callback that pulls and reports.

    trainer = lightning.Trainer(callbacks=[psrun.lightning.JobCallback()])
    trainer.fit(model, psrun.lightning.DataLoader(dataset, batch_size=128), validation_loader)

``configure_optimizers`` returns ``psrun.AsyncOptimizer(self, "adam", lr=1e-3)``.
"""

from typing import Any, Dict, Iterator, Optional

import lightning
import torch.utils.data as data

from ._draws import master
from ._job import job
from ._report import _NAME, report
from .loader import sampler
from .optimizer import AsyncOptimizer


class DataLoader:
    """torch's ``DataLoader`` on the samples that the master of the job leases to this worker, without a length.

    How many batches of a pass are this worker's, only its end tells; Lightning takes a length for a promise, and would not validate.
    It fetches a batch before it has trained the one before, so that what was drawn in a pass counts when the next one begins, or when
    the script ends well.
    """

    def __init__(self, dataset: Any, batch_size: int = 1, shuffle: bool = True, *, seed: Optional[int] = None, **options: Any) -> None:
        drawn = sampler(dataset, batch_size=batch_size, shuffle=shuffle, seed=seed)
        self._loader: Any = data.DataLoader(dataset, batch_size=batch_size, sampler=drawn, **options)

    def __iter__(self) -> Iterator[Any]:
        return iter(self._loader)


class JobCallback(lightning.Callback):
    """Takes the newest weights before each validation, tells the job what it found, and stops when the job does.

    ``measures`` says which of the logged metrics are told, and as what: ``{"val_acc": "accuracy"}``; without it all that were logged.
    They are of a validation set, or, with ``validation=False``, of the test set.
    """

    def __init__(self, measures: Optional[Dict[str, str]] = None, validation: bool = True) -> None:
        self._measures = measures
        self._validation = validation

    def on_validation_start(self, trainer: Any, pl_module: Any) -> None:
        for optimizer in _optimizers(trainer):
            optimizer.pull()

    def on_validation_end(self, trainer: Any, pl_module: Any) -> None:
        if trainer.sanity_checking:
            return
        found = {name: float(value) for name, value in trainer.callback_metrics.items()}
        names = {name: name for name in found if _NAME.fullmatch(name)} if self._measures is None else self._measures
        told: Dict[str, Any] = {names[name]: value for name, value in found.items() if name in names}
        if told and report(validation=self._validation, **told).ended:
            trainer.should_stop = True

    def on_fit_end(self, trainer: Any, pl_module: Any) -> None:
        # In a job nobody is to wait for who is done; alone there is nobody.
        if master(job()) is not None:
            for optimizer in _optimizers(trainer):
                optimizer.leave()


def _optimizers(trainer: Any) -> "list[AsyncOptimizer]":
    return [optimizer for optimizer in trainer.optimizers if isinstance(optimizer, AsyncOptimizer)]
