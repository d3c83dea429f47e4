"""One worker that waits for each step trains what torch.optim does, to rounding."""

import dataclasses
import json

import pytest

torch = pytest.importorskip("torch")

import psrun  # noqa: E402
from psrun import _alone, _native  # noqa: E402

STEPS = 50

#: Of weights of about 1, after 50 steps: the order of operations differs. Where a step is divided by a root that is nearly nothing, more.
ROUNDING = 2e-6


def model():
    torch.manual_seed(7)
    return torch.nn.Sequential(torch.nn.Linear(20, 32), torch.nn.Tanh(), torch.nn.Linear(32, 3))


def batch(step):
    generator = torch.Generator().manual_seed(step)
    inputs = torch.randn(32, 20, generator=generator)
    return inputs, (inputs[:, :3] + 0.1 * torch.randn(32, 3, generator=generator)).argmax(1)


def step(model, optimizer, number, before=lambda: None):
    inputs, labels = batch(number)
    optimizer.zero_grad()
    torch.nn.functional.cross_entropy(model(inputs), labels).backward()
    before()
    optimizer.step()


def farthest(one, other):
    pairs = zip(one.state_dict().values(), other.state_dict().values())
    return max(float((a - b).abs().max()) for a, b in pairs)


CASES = [
    ("sgd", "SGD", {"lr": 0.1}),
    ("sgd", "SGD", {"lr": 0.1, "weight_decay": 0.05}),
    ("sgd", "SGD", {"lr": 0.05, "momentum": 0.9}),
    ("sgd", "SGD", {"lr": 0.05, "momentum": 0.9, "nesterov": True, "weight_decay": 0.01}),
    ("sgd", "SGD", {"lr": 0.1, "maximize": True, "weight_decay": 0.01}),
    ("adagrad", "Adagrad", {}),
    ("rmsprop", "RMSprop", {"alpha": 0.9}),
    ("adam", "Adam", {}),
    ("adam", "Adam", {"lr": 0.01, "betas": (0.8, 0.99), "eps": 1e-6, "weight_decay": 0.1}),
    ("adamw", "AdamW", {}),
    ("adamw", "AdamW", {"lr": 0.01, "weight_decay": 0.3}),
]


@pytest.mark.parametrize(("name", "torchs", "options"), CASES)
def test_weights_equal_torchs(name, torchs, options):
    mine, its = model(), model()
    optimizer = psrun.AsyncOptimizer(mine, name, **options)
    reference = getattr(torch.optim, torchs)(its.parameters(), **options)
    start = model()
    for number in range(STEPS):
        step(mine, optimizer, number)
        step(its, reference, number)
    assert farthest(mine, start) > 1e-3, "nothing was trained"
    assert farthest(mine, its) < ROUNDING


def test_groups_have_rates_and_decays_of_their_own():
    def groups(model, named):
        first, last = model[0], model[2]
        some = [{"params": first.named_parameters("0") if named else first.parameters(), "lr": 0.03, "weight_decay": 0.2}]
        return some + [{"params": last.named_parameters("2") if named else last.parameters()}]

    for name, torchs in [("sgd", "SGD"), ("adamw", "AdamW")]:
        mine, its = model(), model()
        optimizer = psrun.AsyncOptimizer(groups(mine, True), name, lr=0.01)
        reference = getattr(torch.optim, torchs)(groups(its, False), lr=0.01)
        for number in range(STEPS):
            step(mine, optimizer, number)
            step(its, reference, number)
        assert farthest(mine, its) < ROUNDING


def test_schedulers_and_clipping():
    mine, its = model(), model()
    optimizer = psrun.AsyncOptimizer(mine.named_parameters(), "adam", lr=0.01)
    reference = torch.optim.Adam(its.parameters(), lr=0.01)
    schedules = [torch.optim.lr_scheduler.CosineAnnealingLR(it, 30) for it in (optimizer, reference)]
    for number in range(STEPS):
        for net, it in ((mine, optimizer), (its, reference)):
            step(net, it, number, before=lambda net=net: torch.nn.utils.clip_grad_norm_(net.parameters(), 0.1))
        for schedule in schedules:
            schedule.step()
    assert farthest(mine, its) < ROUNDING


def test_accumulated_gradients():
    mine, its = model(), model()
    optimizer, reference = psrun.AsyncOptimizer(mine, "sgd", lr=0.1), torch.optim.SGD(its.parameters(), lr=0.1)
    for number in range(0, STEPS, 2):
        for net, it in ((mine, optimizer), (its, reference)):
            for part in (number, number + 1):
                inputs, labels = batch(part)
                torch.nn.functional.cross_entropy(net(inputs), labels).backward()
            it.step()
            it.zero_grad(set_to_none=False)
    assert farthest(mine, its) < ROUNDING


def test_frozen_and_absent_parameters_stay_as_they_are():
    def part(net):
        net[0].bias.requires_grad_(False)
        return net

    mine, its = part(model()), part(model())
    options = {"lr": 0.01, "momentum": 0.9, "weight_decay": 0.1}
    optimizer = psrun.AsyncOptimizer(mine, "sgd", **options)
    reference = torch.optim.SGD(its.parameters(), **options)
    for number in range(STEPS):
        # Every other step leaves out the last layer's bias: no decay, no momentum. (Adam's servers count steps by chunk.)
        for net, it in ((mine, optimizer), (its, reference)):
            def before(net=net):
                if number % 2:
                    net[2].bias.grad = None

            step(net, it, number, before)
    assert torch.equal(mine[0].bias, its[0].bias)
    assert farthest(mine, its) < ROUNDING


@pytest.mark.parametrize("depth", [1, 3])
def test_steps_that_are_under_way_are_so_many_steps_late(depth):
    """With a pipeline the gradient of step t is that of the weights of step t - depth."""
    settings = json.dumps({**json.loads(_native.training_settings(None, "sgd", 0.1, {}, [])), "pipeline_depth": depth, "staleness_bound": None})
    mine, its = model(), model()
    job = dataclasses.replace(_alone.job_of_its_own(), settings=settings)
    optimizer = psrun.AsyncOptimizer(mine, "sgd", lr=0.1, job=job)
    # Of the same batches, by hand: the newest weights last.
    weights = [[parameter.detach().clone() for parameter in its.parameters()]]
    for number in range(20):
        used = weights[max(len(weights) - 1 - depth, 0)]
        assert all(torch.allclose(held, its, atol=1e-6) for held, its in zip(mine.parameters(), used)), number
        step(mine, optimizer, number)
        with torch.no_grad():
            for parameter, value in zip(its.parameters(), used):
                parameter.copy_(value)
        its.zero_grad()
        inputs, labels = batch(number)
        torch.nn.functional.cross_entropy(its(inputs), labels).backward()
        weights.append([newest - 0.1 * parameter.grad for newest, parameter in zip(weights[-1], its.parameters())])
    optimizer.pull()
    assert all(torch.allclose(held, newest, atol=1e-6) for held, newest in zip(mine.parameters(), weights[-1]))


def test_shared_parameters_are_one():
    class Tied(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.first = torch.nn.Linear(20, 20)
            self.second = torch.nn.Linear(20, 20)
            self.second.weight = self.first.weight

        def forward(self, inputs):
            return self.second(torch.tanh(self.first(inputs)))[:, :3]

    torch.manual_seed(1)
    mine = Tied()
    torch.manual_seed(1)
    its = Tied()
    optimizer, reference = psrun.AsyncOptimizer(mine, "adam"), torch.optim.Adam(its.parameters())
    for number in range(STEPS):
        step(mine, optimizer, number)
        step(its, reference, number)
    assert mine.first.weight is mine.second.weight
    assert farthest(mine, its) < ROUNDING


def test_buffers_are_kept_with_the_weights():
    def net():
        torch.manual_seed(3)
        return torch.nn.Sequential(torch.nn.Linear(20, 8), torch.nn.BatchNorm1d(8), torch.nn.Linear(8, 3))

    mine, its = net(), net()
    optimizer, reference = psrun.AsyncOptimizer(mine, "sgd", lr=0.1), torch.optim.SGD(its.parameters(), lr=0.1)
    for number in range(STEPS):
        step(mine, optimizer, number)
        step(its, reference, number)
    assert int(mine[1].num_batches_tracked) == STEPS
    assert farthest(mine, its) < ROUNDING


@pytest.mark.parametrize(("name", "torchs"), [("sgd", "SGD"), ("adagrad", "Adagrad")])
def test_sparse_gradients_touch_their_rows_alone(name, torchs):
    def net():
        torch.manual_seed(5)
        return torch.nn.Sequential(torch.nn.EmbeddingBag(1000, 4, sparse=True, mode="sum"), torch.nn.Linear(4, 2))

    mine, its = net(), net()
    optimizer, reference = psrun.AsyncOptimizer(mine, name, lr=0.1), getattr(torch.optim, torchs)(its.parameters(), lr=0.1)
    for number in range(STEPS):
        generator = torch.Generator().manual_seed(number)
        ids = torch.randint(0, 1000, (16, 5), generator=generator)
        labels = ids.sum(1) % 2
        for model, it in ((mine, optimizer), (its, reference)):
            it.zero_grad()
            torch.nn.functional.cross_entropy(model(ids), labels).backward()
            it.step()
    assert farthest(mine, its) < ROUNDING


def test_a_scaler_and_autocast():
    scalers = getattr(torch.amp, "GradScaler", None)
    if scalers is None:
        pytest.skip("this torch scales on GPUs only")
    mine, its = model(), model()
    optimizer, reference = psrun.AsyncOptimizer(mine, "adam"), torch.optim.Adam(its.parameters())
    for net, it in ((mine, optimizer), (its, reference)):
        scaler = scalers("cpu", init_scale=2.0**10)
        for number in range(STEPS):
            inputs, labels = batch(number)
            it.zero_grad()
            with torch.autocast("cpu", torch.bfloat16):
                loss = torch.nn.functional.cross_entropy(net(inputs), labels)
            scaler.scale(loss).backward()
            scaler.unscale_(it)
            torch.nn.utils.clip_grad_norm_(net.parameters(), 1.0)
            scaler.step(it)
            scaler.update()
    assert farthest(mine, its) < ROUNDING


def test_a_closure_is_called_with_gradients():
    mine, its = model(), model()
    optimizer, reference = psrun.AsyncOptimizer(mine, "sgd", lr=0.1), torch.optim.SGD(its.parameters(), lr=0.1)
    for number in range(5):
        for net, it in ((mine, optimizer), (its, reference)):
            def closure(net=net, it=it):
                inputs, labels = batch(number)
                it.zero_grad()
                loss = torch.nn.functional.cross_entropy(net(inputs), labels)
                loss.backward()
                return loss

            assert float(it.step(closure)) > 0
    assert farthest(mine, its) < ROUNDING


@pytest.mark.parametrize("kind, tolerance", [(torch.float64, 1e-5), (torch.bfloat16, 0.05)])
def test_parameters_of_other_kinds_follow_those_of_the_servers(kind, tolerance):
    torch.manual_seed(3)
    alone = torch.nn.Linear(6, 3)
    model = torch.nn.Linear(6, 3)
    model.load_state_dict(alone.state_dict())
    optimizers = [torch.optim.SGD(alone.parameters(), lr=0.1), psrun.AsyncOptimizer(model.to(kind), "sgd", lr=0.1)]
    for step in range(20):
        inputs = torch.randn(8, 6, generator=torch.Generator().manual_seed(step))
        for one, optimizer in zip((alone, model), optimizers):
            optimizer.zero_grad()
            one(inputs.to(one.weight.dtype)).square().mean().backward()
            optimizer.step()
    assert model.weight.dtype == kind and model.weight.is_leaf
    assert torch.allclose(model.weight.float(), alone.weight, atol=tolerance)
