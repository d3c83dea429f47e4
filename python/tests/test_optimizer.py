"""What the optimizer refuses, and what happens around it."""

import os
import signal
import subprocess
import sys
import threading
import time

import pytest

torch = pytest.importorskip("torch")

import psrun  # noqa: E402


def net():
    return torch.nn.Linear(4, 2)


def test_what_the_servers_do_not_have_is_refused_by_name():
    for name, options, words in [
        ("adamax", {}, "no optimizer 'adamax'; expected one of sgd, adagrad"),
        ("adam", {"momentum": 0.9}, "adam has no option 'momentum'"),
        ("adam", {"amsgrad": True}, "adam with amsgrad=True"),
        ("sgd", {"momentum": 0.9, "dampening": 0.1}, "sgd with dampening=0.1"),
        ("sgd", {"nesterov": True}, "nesterov=True needs a momentum"),
        ("rmsprop", {"momentum": 0.9}, "rmsprop with a momentum"),
        ("sgd", {"lr": -1.0}, "lr=-1.0: expected a rate from 0"),
        ("sgd", {"lr": "0.1"}, "lr='0.1': expected a number"),
        ("adam", {"betas": 0.9}, "betas=0.9: expected two numbers"),
    ]:
        with pytest.raises((ValueError, TypeError), match=words):
            psrun.AsyncOptimizer(net(), name, **options)


def test_parameters_need_names_and_the_right_kind():
    with pytest.raises(TypeError, match="model.named_parameters"):
        psrun.AsyncOptimizer(net().parameters(), "sgd")
    with pytest.raises(TypeError, match="whole is torch.int64, and the servers hold torch.float32"):
        psrun.AsyncOptimizer([("whole", torch.nn.Parameter(torch.ones(2, dtype=torch.int64), requires_grad=False))], "sgd")
    with pytest.raises(ValueError, match="no parameters"):
        psrun.AsyncOptimizer([], "sgd")


def test_rates_of_groups_keep_their_ratio():
    model = torch.nn.Sequential(net(), torch.nn.Linear(2, 2))
    groups = [{"params": model[0].named_parameters("0"), "lr": 0.1}, {"params": model[1].named_parameters("1"), "lr": 0.2}]
    optimizer = psrun.AsyncOptimizer(groups, "sgd")
    optimizer.param_groups[0]["lr"] = 0.3
    with pytest.raises(ValueError, match="keep the ratio"):
        optimizer.step()
    with pytest.raises(ValueError, match="name all parameters when"):
        optimizer.add_param_group({"params": [torch.nn.Parameter(torch.ones(2))]})


def test_values_that_are_not_finite_are_refused_and_told(capsys):
    model = net()
    optimizer = psrun.AsyncOptimizer(model, "sgd", lr=0.1)
    before = model.weight.detach().clone()
    model(torch.ones(1, 4)).sum().backward()
    model.weight.grad[0, 0] = float("nan")
    optimizer.step()
    assert torch.isfinite(model.weight).all() and torch.equal(model.weight[0], before[0])
    assert "refused" in capsys.readouterr().err


def test_a_script_that_learns_nothing_any_more_ends_and_one_that_recovers_does_not():
    model = net()
    optimizer = psrun.AsyncOptimizer(model, "sgd", lr=0.1)

    def step(value):
        model.zero_grad()
        model(torch.full((1, 4), value)).sum().backward()
        optimizer.step()

    for _ in range(2):
        for _ in range(49):
            step(float("nan"))
        step(1.0)
    with pytest.raises(FloatingPointError, match="50 steps in a row"):
        for _ in range(50):
            step(float("inf"))


@pytest.mark.parametrize("launcher", [("WORLD_SIZE", "2"), ("SM_HOSTS", '["algo-1", "algo-2"]'), ("SLURM_STEP_NUM_TASKS", "4")])
def test_a_script_that_was_started_several_times_is_not_several_models(launcher, monkeypatch):
    monkeypatch.setenv(*launcher)
    with pytest.raises(RuntimeError, match="a model of its own"):
        psrun.AsyncOptimizer(net(), "sgd", lr=0.1)


def test_the_model_outlives_its_optimizer():
    model = net()
    optimizer = psrun.AsyncOptimizer(model, "sgd", lr=0.1)
    model(torch.ones(1, 4)).sum().backward()
    optimizer.step()
    weights = model.weight.detach().clone()
    del optimizer
    junk = [torch.ones(1000) for _ in range(100)]
    assert torch.equal(model.weight, weights) and len(junk) == 100
    copy = net()
    copy.load_state_dict(model.state_dict())
    assert torch.equal(copy.weight, weights)


def test_a_forked_process_is_told_and_does_not_hang():
    model = net()
    optimizer = psrun.AsyncOptimizer(model, "sgd", lr=0.1)
    model(torch.ones(1, 4)).sum().backward()
    child = os.fork()
    if child == 0:
        code = 1
        try:
            optimizer.step()
        except RuntimeError as error:
            code = 0 if "forked" in str(error) else 2
        del optimizer, model
        os._exit(code)
    _, status = os.waitpid(child, 0)
    assert os.waitstatus_to_exitcode(status) == 0
    optimizer.step()


def test_data_loaders_with_processes_work_beside_it():
    data = torch.utils.data.TensorDataset(torch.randn(64, 4), torch.randint(0, 2, (64,)))
    model = net()
    optimizer = psrun.AsyncOptimizer(model, "sgd", lr=0.1)
    loader = torch.utils.data.DataLoader(data, batch_size=8, num_workers=2, persistent_workers=True)
    for _ in range(2):
        for inputs, labels in loader:
            optimizer.zero_grad()
            torch.nn.functional.cross_entropy(model(inputs), labels).backward()
            optimizer.step()


def test_two_threads_in_one_step_are_refused():
    model = net()
    optimizer = psrun.AsyncOptimizer(model, "sgd", lr=0.1)
    server = psrun._alone.SERVERS[-1]
    os.kill(server.pid, signal.SIGSTOP)
    errors = []
    try:
        first = threading.Thread(target=lambda: optimizer.pull())
        first.start()
        time.sleep(0.5)
        try:
            optimizer.pull()
        except RuntimeError as error:
            errors.append(str(error))
    finally:
        os.kill(server.pid, signal.SIGCONT)
    first.join()
    assert errors and "another thread" in errors[0]


def test_ctrl_c_ends_a_call_that_waits():
    script = """
import os, signal, sys, torch, psrun
model = torch.nn.Linear(4, 2)
optimizer = psrun.AsyncOptimizer(model, "sgd", lr=0.1)
os.kill(psrun._alone.SERVERS[-1].pid, signal.SIGSTOP)
print("waiting", flush=True)
try:
    optimizer.pull()
except KeyboardInterrupt:
    print("interrupted", flush=True)
    os.kill(psrun._alone.SERVERS[-1].pid, signal.SIGCONT)
"""
    process = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True)
    assert process.stdout.readline() == "waiting\n"
    time.sleep(0.5)
    process.send_signal(signal.SIGINT)
    assert process.stdout.readline() == "interrupted\n"
    assert process.wait(timeout=20) == 0


def test_a_server_that_is_gone_is_named():
    model = net()
    optimizer = psrun.AsyncOptimizer(model, "sgd", lr=0.1, patience_s=1.0)
    server = psrun._alone.SERVERS[-1]
    server.kill()
    server.wait()
    with pytest.raises(psrun.ServerLost, match="server 0 at 127.0.0.1"):
        optimizer.pull()
    assert issubclass(psrun.ServerLost, ConnectionError)


def test_its_server_ends_with_the_script():
    script = """
import os, torch, psrun
optimizer = psrun.AsyncOptimizer(torch.nn.Linear(4, 2), "sgd", lr=0.1)
print(psrun._alone.SERVERS[-1].pid, flush=True)
os.kill(os.getpid(), 9)
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    pid = int(done.stdout)
    for _ in range(100):
        if not os.path.exists(f"/proc/{pid}") or "State:\tZ" in open(f"/proc/{pid}/status").read():
            return
        time.sleep(0.1)
    raise AssertionError(f"server {pid} is still there")


@pytest.mark.skipif(not hasattr(torch, "compile"), reason="torch before 2.0")
def test_a_compiled_model_keeps_its_names():
    model = torch.nn.Sequential(net(), torch.nn.BatchNorm1d(2))
    compiled = torch.compile(model, backend="eager")
    optimizer = psrun.AsyncOptimizer(compiled, "sgd", lr=0.1)
    before = model[0].weight.detach().clone()
    for _ in range(2):
        compiled(torch.randn(3, 4)).square().sum().backward()
        optimizer.step()
    assert not torch.equal(model[0].weight, before) and int(model[1].num_batches_tracked) == 2
    assert "0.weight" in optimizer.names() and not any("_orig_mod" in name for name in optimizer.names())
