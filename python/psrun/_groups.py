"""Parameters as users give them: a model, named ones, or groups of them."""

from typing import Any, Dict, Iterable, List, Set, Tuple, Union

import torch

Named = Tuple[str, torch.Tensor]
Parameters = Union[torch.nn.Module, Iterable[Named], Iterable[Dict[str, Any]]]

#: What torch.compile puts before the names of a model's tensors: they are the model's own all the same.
_COMPILED = "_orig_mod."

#: Options of a group that are one for the whole job.
_COMMON = ("momentum", "nesterov", "betas", "eps", "alpha", "dampening", "lr_decay", "centered", "amsgrad")


def grouped(params: Parameters) -> Tuple[List[Dict[str, Any]], List[Named]]:
    """Groups of named parameters, each parameter once, and the buffers."""
    buffers: List[Named] = []
    if isinstance(params, torch.nn.Module):
        kept = set(params.state_dict())
        buffers = [(name.replace(_COMPILED, ""), buffer) for name, buffer in params.named_buffers() if name in kept]
        params = params.named_parameters()
    listed: List[Any] = list(params)
    are_groups = bool(listed) and isinstance(listed[0], dict)
    groups: List[Dict[str, Any]] = [dict(group) for group in listed] if are_groups else [{"params": listed}]
    seen: Set[torch.Tensor] = set()
    for group in groups:
        named = []
        for item in group["params"]:
            if not (isinstance(item, tuple) and len(item) == 2 and isinstance(item[0], str)):
                raise TypeError(
                    "AsyncOptimizer: a parameter without a name; names identify them on the servers: give the model itself, or "
                    "`model.named_parameters()` instead of `model.parameters()`"
                )
            if item[1] not in seen:
                seen.add(item[1])
                named.append((item[0].replace(_COMPILED, ""), item[1]))
        group["params"] = named
    if not seen:
        raise ValueError("AsyncOptimizer: no parameters")
    return groups, buffers


def common(groups: List[Dict[str, Any]], optimizer: str) -> Dict[str, Any]:
    first = groups[0]
    for group in groups[1:]:
        for option in _COMMON:
            if group.get(option) != first.get(option):
                raise ValueError(
                    f"AsyncOptimizer: groups with {option}={first.get(option)!r} and {group.get(option)!r}: the servers have one {option} "
                    f"for all of {optimizer}; groups may have an lr and a weight_decay of their own"
                )
    return first


def scales(groups: List[Dict[str, Any]]) -> List[float]:
    """What the largest rate is multiplied by for each group."""
    rates = [float(group["lr"]) for group in groups]
    largest = max(rates)
    return [rate / largest if largest else 1.0 for rate in rates]
