"""The servers for a loop of one's own, on NumPy's arrays."""

import ctypes
import sys
from typing import Any, Mapping, Optional, Tuple, Union

import numpy

from . import _alone, _job, _native, _one_model, _rules
from ._refusals import Refusals

Array = Any
"""A NumPy array, or what becomes one."""

Rows = Tuple[Array, Array]
"""Rows of a table, and their gradients."""


class _Change:
    """What a step changes of an array; it keeps the memory that it names."""

    __slots__ = ("_held", "decay", "rows", "scale", "tensor", "values")

    def __init__(self, tensor: int, values: Array, decay: float, rows: Optional[Array] = None) -> None:
        self._held = (values, rows)
        self.tensor = tensor
        self.values = _place(values)
        self.scale = 1.0
        self.decay = decay
        self.rows = None if rows is None else _place(rows)


class Client:
    """Arrays that the servers hold: pushes gradients, which the servers apply, and takes the newest values.

    ``arrays`` are named, and how they begin; the first worker's count. ``optimizer`` is one of torch's by name, with torch's options
    and defaults. In a job the script is one of its workers; else it starts a server of its own. ::

        client = psrun.Client({"weights": numpy.zeros((20, 3))}, "sgd", lr=0.1)
        for inputs, labels in batches:
            client.step({"weights": gradient(client["weights"], inputs, labels)})
    """

    def __init__(
        self,
        arrays: Mapping[str, Array],
        optimizer: str = "sgd",
        lr: Optional[float] = None,
        *,
        job: Optional[_job.Job] = None,
        patience_s: float = 30.0,
        **options: Any,
    ) -> None:
        if not arrays:
            raise ValueError("Client: no arrays")
        self._options = _rules.options("Client", optimizer, lr, options)
        if self._options.get("maximize"):
            raise ValueError("Client: maximize: give step() the negative gradient")
        rule = _rules.rule(optimizer, self._options)
        self._decay = 0.0 if rule.decoupled else float(self._options["weight_decay"])
        place = job or _job.job() or _alone.job_of_its_own()
        _one_model.claim(self, place)
        started = {name: _checked(name, values) for name, values in arrays.items()}
        settings = _native.training_settings(place.settings, rule.name, float(self._options["lr"]), rule.options, [])
        self._session = _native.Session(
            servers=list(place.servers),
            job=place.name,
            worker=place.worker,
            identity=place.identity,
            settings=settings,
            tensors=[(name, list(values.shape), True, _place(values)) for name, values in started.items()],
            patience_s=patience_s,
        )
        _one_model.connected(place, self._session)
        views = [_view(self._session, *where) for where in self._session.places()]
        self._numbers = {name: number for number, name in enumerate(started)}
        self._arrays = {name: view.reshape(started[name].shape) for name, view in zip(started, views)}
        self._has_left = False
        self._refused = Refusals(place.settings)
        self.staleness = 0
        """Of the last push: updates of others that came between its weights and it."""
        weights = sum(view.size for view in views)
        print(
            f"psrun: worker {place.worker} of {place.workers}, {len(place.servers)} server(s): {len(views)} arrays, {weights:,} weights, "
            f"{optimizer}",
            file=sys.stderr,
        )

    def __getitem__(self, name: str) -> Array:
        """The newest values that were taken; every step and pull changes them in place. Not to be written to."""
        return self._arrays[name]

    def step(self, gradients: Mapping[str, Union[Array, Rows]], *, lr: Optional[float] = None, loss: float = 0.0) -> None:
        """Pushes gradients; when it returns, the arrays are the newest that the bound allows.

        A gradient has its array's shape, or is ``(rows, values)``: numbers of rows, each once, and their gradients. An array without
        one does not change.
        """
        if self._has_left:
            raise RuntimeError("Client: this worker has left the job (leave()): it makes no more steps")
        changes = []
        for name, gradient in gradients.items():
            if name not in self._numbers:
                raise KeyError(f"Client: no array {name!r}; there are {', '.join(self._numbers)}")
            change = self._change(name, gradient)
            # No rows are no change.
            if change.values[1]:
                changes.append(change)
        rate = float(self._options["lr"] if lr is None else lr)
        self.staleness, refused = self._session.step(changes, rate, float(loss))
        self._refused.tell(refused)

    def _change(self, name: str, gradient: Union[Array, Rows]) -> _Change:
        number = self._numbers[name]
        if not isinstance(gradient, tuple):
            values = numpy.ascontiguousarray(gradient, dtype=numpy.float32)
            if values.shape != self._arrays[name].shape:
                raise ValueError(f"Client: {name}: a gradient of shape {values.shape}, expected {self._arrays[name].shape}")
            return _Change(number, values, self._decay)
        if self._decay:
            raise ValueError(f"Client: {name}: gradients of rows and weight_decay, which is of all rows; use adamw, or none")
        rows = numpy.ascontiguousarray(gradient[0], dtype=numpy.int64)
        values = numpy.ascontiguousarray(gradient[1], dtype=numpy.float32)
        order = numpy.argsort(rows, kind="stable")
        return _Change(number, numpy.ascontiguousarray(values[order]), 0.0, numpy.ascontiguousarray(rows[order]))

    def pull(self) -> None:
        """Takes the values as the servers hold them now, for an evaluation."""
        self._session.pull()

    def leave(self) -> None:
        """Tells the servers that this worker is done: nobody waits for it."""
        self._has_left = True
        self._session.leave()


def _checked(name: str, values: Array) -> Array:
    array = numpy.asarray(values)
    if array.dtype.kind not in "fiu":
        raise TypeError(f"Client: {name} is {array.dtype}, expected numbers, which the servers hold as float32")
    return numpy.ascontiguousarray(array, dtype=numpy.float32)


def _place(values: Array) -> Tuple[int, int]:
    return int(values.ctypes.data), int(values.size)


def _view(session: Any, address: int, elements: int) -> Array:
    """Memory of the session as an array, which keeps the session."""
    if elements == 0:
        return numpy.empty(0, dtype=numpy.float32)
    memory: Any = (ctypes.c_float * elements).from_address(address)
    memory.session = session
    array = numpy.frombuffer(memory, dtype=numpy.float32)
    array.flags.writeable = False
    return array


__all__ = ["Client"]
