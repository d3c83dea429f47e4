"""Tensors of torch as memory that the native half reads and writes."""

import ctypes
from typing import Any, Optional, Tuple

import torch


class Change:
    """What a step changes of a tensor; it keeps the memory that it names."""

    __slots__ = ("_held", "decay", "rows", "scale", "tensor", "values")

    def __init__(
        self, tensor: int, values: torch.Tensor, scale: float = 1.0, decay: float = 0.0, rows: Optional[torch.Tensor] = None
    ) -> None:
        self._held = (values, rows)
        self.tensor = tensor
        self.values = place(values)
        self.scale = scale
        self.decay = decay
        self.rows = None if rows is None else place(rows)


def place(values: torch.Tensor) -> Tuple[int, int]:
    """Where the numbers of a contiguous tensor lie, and how many there are."""
    return values.data_ptr(), values.numel()


def checked(name: str, parameter: torch.Tensor) -> torch.Tensor:
    """The values of a parameter, as the servers hold them."""
    if not parameter.dtype.is_floating_point:
        raise TypeError(f"AsyncOptimizer: the parameter {name} is {parameter.dtype}, and the servers hold torch.float32: use model.float()")
    return plain(parameter)


def is_as_held(parameter: torch.Tensor) -> bool:
    """Whether a parameter can lie where pulled weights arrive; else each pull is copied into it."""
    return parameter.dtype == torch.float32 and parameter.device.type == "cpu"


def plain(values: torch.Tensor) -> torch.Tensor:
    """Values as the servers have them."""
    return values.detach().to("cpu", torch.float32).contiguous()


def view(session: Any, address: int, elements: int) -> torch.Tensor:
    """Memory of the session as a tensor, which keeps the session."""
    if elements == 0:
        return torch.empty(0)
    memory: Any = (ctypes.c_float * elements).from_address(address)
    memory.session = session
    return torch.frombuffer(memory, dtype=torch.float32)
