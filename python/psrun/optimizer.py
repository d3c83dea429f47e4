"""The servers as an optimizer of torch's."""

import sys
from typing import Any, Callable, Dict, Iterator, List, Optional, Sequence, Tuple

import torch

from . import _alone, _groups, _job, _native, _one_model, _rules
from ._draws import PROGRESS, master
from ._groups import Named, Parameters
from ._refusals import Refusals
from ._tensors import Change, checked, is_as_held, place, plain, view


class AsyncOptimizer(torch.optim.Optimizer):
    """Pushes gradients to the servers, which apply them, and takes the newest weights.

    ``params`` is the model, its ``named_parameters()``, or a list of groups with ``params`` (named ones) and a rate or decay of
    their own; with the model its buffers are kept on the servers, too. ``optimizer`` is one of torch's by name: ``sgd``,
    ``adagrad``, ``rmsprop``, ``adam``, ``adamw``, with torch's options and defaults.

    Run in a job, the script is one of its workers; else it starts a server of its own.
    """

    def __init__(
        self,
        params: Parameters,
        optimizer: str = "adam",
        lr: Optional[float] = None,
        *,
        job: Optional[_job.Job] = None,
        patience_s: float = 30.0,
        **options: Any,
    ) -> None:
        defaults = _rules.options("AsyncOptimizer", optimizer, lr, options)
        groups, buffers = _groups.grouped(params)
        names = {parameter: name for group in groups for name, parameter in group["params"]}
        plain = [{**group, "params": [parameter for _, parameter in group["params"]]} for group in groups]
        super().__init__(plain, defaults)
        self._optimizer = optimizer
        self._has_left = False
        self._scales = _groups.scales(self.param_groups)
        rule = _rules.rule(optimizer, _groups.common(self.param_groups, optimizer))
        self._decoupled = rule.decoupled
        self._job = job or _job.job() or _alone.job_of_its_own()
        self._refused = Refusals(self._job.settings)
        _one_model.claim(self, self._job)
        rules: List[Tuple[str, float, Optional[float]]] = []
        for group, scale in zip(self.param_groups, self._scales):
            decay = float(group["weight_decay"]) if rule.decoupled else None
            rules += [(names[parameter], scale, decay) for parameter in group["params"]]
        if len(self.param_groups) == 1:
            rules = []
        settings = _native.training_settings(self._job.settings, rule.name, self._rate(), rule.options, rules)
        self._connect(settings, names, buffers, patience_s)

    def _connect(
        self, settings: str, names: Dict[torch.Tensor, str], buffers: Sequence[Named], patience_s: float
    ) -> None:
        tensors = []
        held = []
        for parameter, name in names.items():
            values = checked(name, parameter)
            held.append(values)
            tensors.append((name, list(parameter.shape), True, place(values)))
        for name, buffer in buffers:
            values = plain(buffer)
            held.append(values)
            tensors.append((name, list(buffer.shape), False, place(values)))
        self._session = _native.Session(
            servers=list(self._job.servers),
            job=self._job.name,
            worker=self._job.worker,
            identity=self._job.identity,
            settings=settings,
            tensors=tensors,
            patience_s=patience_s,
        )
        _one_model.connected(self._job, self._session)
        views = [view(self._session, *where) for where in self._session.places()]
        self._names = [name for name, *_ in tensors]
        self._numbers: Dict[torch.Tensor, int] = {}
        #: Tensors that are copied into after each pull, and from where.
        self._copied: List[Tuple[torch.Tensor, torch.Tensor]] = []
        for number, parameter in enumerate(names):
            self._numbers[parameter] = number
            pulled = views[number].view(parameter.shape)
            if is_as_held(parameter):
                # The parameter lies where pulled weights arrive: nothing is copied.
                parameter.data = pulled
            else:
                self._copied.append((parameter, pulled))
        self._buffers = []
        for number, (_, buffer) in enumerate(buffers, len(names)):
            self._buffers.append((number, buffer))
            self._copied.append((buffer, views[number].view(buffer.shape)))
        self._take_pulled()
        weights = sum(values.numel() for values in views)
        print(
            f"psrun: worker {self._job.worker} of {self._job.workers}, {len(self._job.servers)} server(s): "
            f"{len(tensors)} tensors, {weights:,} weights, {self._optimizer}",
            file=sys.stderr,
        )

    @torch.no_grad()
    def step(self, closure: Optional[Callable[[], Any]] = None) -> Any:
        """Pushes the gradients; when it returns, the parameters are the newest that the bound allows.

        In a job with ``--pipeline-depth D`` it waits for the push of D steps before instead, and the parameters are those of that one:
        what the servers do then goes on beside the next step. ``pull()`` waits for all of it.
        """
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        if self._has_left:
            raise RuntimeError("AsyncOptimizer: this worker has left the job (leave()): it makes no more steps")
        rate = self._rate()
        changes = [change for group in self.param_groups for change in self._changes(group)]
        changes += [Change(number, plain(buffer)) for number, buffer in self._buffers]
        told = float(loss) if loss is not None else 0.0
        self.staleness, refused = self._session.step(changes, rate, told)
        self._take_pulled()
        self._refused.tell(refused)
        return loss

    @torch.no_grad()
    def _take_pulled(self) -> None:
        """Buffers, and parameters of another kind or elsewhere than the servers' values, get these."""
        for tensor, pulled in self._copied:
            tensor.copy_(pulled)

    def _changes(self, group: Dict[str, Any]) -> Iterator[Change]:
        decay = 0.0 if self._decoupled else float(group["weight_decay"])
        scale = -1.0 if group["maximize"] else 1.0
        for parameter in group["params"]:
            gradient = parameter.grad
            if gradient is None:
                continue
            number = self._numbers[parameter]
            if not gradient.is_sparse:
                yield Change(number, plain(gradient), scale, decay)
                continue
            if decay:
                raise ValueError("AsyncOptimizer: a sparse gradient and weight_decay, which is of all rows; use adamw, or none")
            gradient = gradient.coalesce()
            if gradient.sparse_dim() != 1:
                raise ValueError(f"AsyncOptimizer: a sparse gradient of shape {tuple(gradient.shape)}: expected rows of a table")
            rows = gradient.indices()[0].to("cpu").contiguous()
            if rows.numel():
                yield Change(number, plain(gradient.values()), scale, 0.0, rows)

    def _rate(self) -> float:
        rate = max(float(group["lr"]) for group in self.param_groups)
        for group, scale in zip(self.param_groups, self._scales):
            if abs(float(group["lr"]) - rate * scale) > 1e-6 * rate:
                raise ValueError(
                    f"AsyncOptimizer: a group has the rate {float(group['lr'])} where another has {rate}, and {scale} times that at the "
                    "start: the servers keep the ratio of the groups' rates; use one factor for all groups"
                )
        return rate

    def pull(self) -> None:
        """Takes the weights as the servers hold them now, for an evaluation."""
        self._session.pull()
        self._take_pulled()

    def state_dict(self) -> Dict[str, Any]:
        """Rates and decays, as torch's; what the optimizer remembers of each weight is on the servers, and the state names a checkpoint of it.

        In a job with ``--checkpoints`` worker 0 has one written for that, and waits for it. A job that is started again with the same
        folder goes on from its newest checkpoint by itself: ``load_state_dict`` says so where it did not.
        """
        state: Dict[str, Any] = super().state_dict()
        line = master(self._job) if self._job.worker == 0 else None
        number = None if self._job.resumed is None else self._job.resumed.checkpoint
        # In a pass that was over before this script began nothing was trained since the job went on.
        if line is not None and PROGRESS.was_there(PROGRESS.pass_number):
            number, why = line.checkpoint()
            if number is None:
                print(f"psrun: state_dict() names no checkpoint of what the servers hold: {why}", file=sys.stderr)
        state["psrun"] = {"optimizer": self._optimizer, "checkpoint": number}
        return state

    def load_state_dict(self, state_dict: Dict[str, Any]) -> None:
        """Takes rates and decays; says so where the servers do not hold what belongs to them."""
        told = state_dict.get("psrun")
        number = None if told is None else told["checkpoint"]
        resumed = None if self._job.resumed is None else self._job.resumed.checkpoint
        if told is not None and told["optimizer"] != self._optimizer:
            raise ValueError(f"AsyncOptimizer: the state is of {told['optimizer']}, and this is {self._optimizer}")
        if resumed is None:
            of = f" is that of checkpoint {number} of the servers, and" if number is not None else ":"
            print(
                f"psrun: load_state_dict: the state{of} the servers of this job begin anew: the weights are those of the model, and what "
                "the optimizer remembers of each (momentum, moments) begins at nothing. A job with --checkpoints DIR goes on with both",
                file=sys.stderr,
            )
        else:
            older = f"The job goes on from checkpoint {resumed}, which is older than the {number} that the state names. " if number is not None and resumed < number else ""
            print(
                f"psrun: load_state_dict: {older}The rates are those of the state: a loop that passes through the passes that are over, and steps "
                "a scheduler in each, would lower them once more: begin it at psrun.resumed().pass_number, or leave load_state_dict out, as "
                "the servers hold the rest",
                file=sys.stderr,
            )
        # Of each weight there is nothing here; of torch's own optimizers there may be.
        super().load_state_dict({"state": {}, "param_groups": state_dict["param_groups"]})

    def names(self) -> List[str]:
        """Of the tensors that the servers hold, as the model's file has them."""
        return list(self._names)

    def leave(self) -> None:
        """Tells the servers that this worker is done: nobody waits for it. The model keeps its weights."""
        self._has_left = True
        self._session.leave()

    def add_param_group(self, param_group: Dict[str, Any]) -> None:
        if hasattr(self, "_session"):
            raise ValueError("AsyncOptimizer: the servers hold the model as it was; name all parameters when the optimizer is made")
        super().add_param_group(param_group)
