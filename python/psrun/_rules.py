"""torch's optimizers, as the servers have them."""

from typing import Any, Dict, NamedTuple, Optional, Tuple

#: Rate and options of each optimizer as torch has them by default.
DEFAULTS: Dict[str, Dict[str, Any]] = {
    "sgd": {"lr": 1e-3, "momentum": 0.0, "dampening": 0.0, "weight_decay": 0.0, "nesterov": False, "maximize": False},
    "adagrad": {"lr": 1e-2, "lr_decay": 0.0, "weight_decay": 0.0, "eps": 1e-10, "maximize": False},
    "rmsprop": {"lr": 1e-2, "alpha": 0.99, "eps": 1e-8, "weight_decay": 0.0, "momentum": 0.0, "centered": False, "maximize": False},
    "adam": {"lr": 1e-3, "betas": (0.9, 0.999), "eps": 1e-8, "weight_decay": 0.0, "amsgrad": False, "maximize": False},
    "adamw": {"lr": 1e-3, "betas": (0.9, 0.999), "eps": 1e-8, "weight_decay": 1e-2, "amsgrad": False, "maximize": False},
}

#: Options that the servers do not have, and the one value that they may have.
_ONLY = {"dampening": 0.0, "lr_decay": 0.0, "centered": False, "amsgrad": False}


def options(who: str, optimizer: str, lr: Optional[float], given: Dict[str, Any]) -> Dict[str, Any]:
    """Rate and options of an optimizer of this name: torch's defaults, and what was given.

    >>> options("AsyncOptimizer", "sgd", 0.1, {"momentum": 0.9})["momentum"]
    0.9
    """
    if optimizer not in DEFAULTS:
        raise ValueError(f"{who}: no optimizer {optimizer!r}; expected one of {', '.join(DEFAULTS)}")
    defaults = dict(DEFAULTS[optimizer])
    unknown = sorted(set(given) - set(defaults))
    if unknown:
        raise TypeError(f"{who}: {optimizer} has no option {unknown[0]!r}; it has {', '.join(defaults)}")
    defaults.update(given)
    if lr is not None:
        defaults["lr"] = lr
    for option, value in defaults.items():
        _check(f"{who}: {optimizer} with {option}={value!r}", option, value)
    return defaults


def _check(what: str, option: str, value: Any) -> None:
    """Of its kind, by torch's rules."""
    if option in ("nesterov", "maximize", "centered", "amsgrad"):
        return
    if option == "betas":
        if not isinstance(value, (tuple, list)) or len(value) != 2:
            raise ValueError(f"{what}: expected two numbers")
        for part in value:
            _check(what, "beta", part)
    elif isinstance(value, (str, bool)) or not hasattr(value, "__float__"):
        raise TypeError(f"{what}: expected a number")
    elif float(value) < 0:
        raise ValueError(f"{what}: expected {'a rate' if option == 'lr' else 'a number'} from 0")


class Rule(NamedTuple):
    """An optimizer of the servers."""

    name: str
    options: Dict[str, float]
    decoupled: bool
    """Whether the servers apply the weight decay; else it is a part of the gradient, as torch has it."""


def rule(optimizer: str, group: Dict[str, Any]) -> Rule:
    """The servers' optimizer for one of torch's with these options.

    >>> rule("sgd", {**DEFAULTS["sgd"], "momentum": 0.9}).name
    'momentum'
    """
    for option, value in _ONLY.items():
        if group.get(option, value) != value:
            raise ValueError(f"AsyncOptimizer: {optimizer} with {option}={group[option]!r}: the servers have it with {value!r} only")
    options: Dict[str, float] = {}
    name = optimizer
    if optimizer == "sgd" and group["momentum"]:
        name = "nesterov" if group["nesterov"] else "momentum"
        options["momentum"] = group["momentum"]
    elif optimizer == "sgd" and group["nesterov"]:
        raise ValueError("AsyncOptimizer: sgd with nesterov=True needs a momentum above 0")
    if optimizer == "rmsprop" and group["momentum"]:
        raise ValueError("AsyncOptimizer: rmsprop with a momentum: the servers have it without only")
    if "betas" in group:
        betas: Tuple[float, float] = group["betas"]
        options["beta1"], options["beta2"] = betas
    for option in ("alpha", "eps"):
        if option in group:
            options[option] = group[option]
    decoupled = optimizer == "adamw"
    if decoupled:
        options["weight_decay"] = group["weight_decay"]
    return Rule(name, options, decoupled)
