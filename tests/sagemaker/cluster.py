"""Hosts of our own: what the SDKs' local mode refuses, and what nobody should do to a container."""

import json
import os
import signal
import subprocess
import time
import uuid
from pathlib import Path

from conftest import DIGITS, IMAGE


def docker(*arguments, check=True, timeout_s=60):
    done = subprocess.run(["docker", *arguments], text=True, timeout=timeout_s,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    if check and done.returncode:
        raise AssertionError(f"docker {' '.join(arguments)}: {done.stdout}")
    return done.stdout.strip()


class Cluster:
    """Containers on a private network, each with SageMaker's files as the service lays them out."""

    def __init__(self, folder, hosts=3, hyperparameters=None, channels=None, data=None,
                 checkpoints=None, image=IMAGE, environment=None, command=("train",),
                 resources=None, restart=None):
        self.folder = Path(folder)
        self.image, self.command = image, list(command)
        self.name = f"ps-test-{uuid.uuid4().hex[:8]}"
        # In the real service's order, which is none.
        self.hosts = [f"algo-{number}" for number in range(1, hosts + 1)]
        self.hyperparameters = {"sagemaker_parameter_server_enabled": "true",
                                **(hyperparameters or {})}
        self.channels = channels if channels is not None else {
            "training": {"TrainingInputMode": "File", "S3DistributionType": "FullyReplicated",
                         "RecordWrapperType": "None"}}
        self.data = data if data is not None else {"training": DIGITS}
        self.checkpoints = checkpoints
        self.environment = {"TRAINING_JOB_NAME": self.name, **(environment or {})}
        self.resources = resources or {}
        # The engine's policy for containers that end.
        self.restart = ["--restart", restart] if restart else []
        # Hosts that share another container's network, and its name.
        self.networks = {}
        self.model = self.folder / "model"
        docker("network", "create", self.name)

    # -- files ---------------------------------------------------------------------------------

    def _config(self, host):
        config = self.folder / host / "input" / "config"
        config.mkdir(parents=True, exist_ok=True)
        (self.folder / host / "output" / "data").mkdir(parents=True, exist_ok=True)
        self.model.mkdir(parents=True, exist_ok=True)
        resource = {
            "current_group_name": "homogeneousCluster", "current_host": host,
            "current_instance_type": "ml.m5.xlarge", "hosts": self.hosts,
            "instance_groups": [{"hosts": list(reversed(self.hosts)),
                                 "instance_group_name": "homogeneousCluster",
                                 "instance_type": "ml.m5.xlarge"}],
            "network_interface_name": "eth0", "topology": None, **self.resources,
        }
        for name, content in [("hyperparameters", self.hyperparameters),
                              ("resourceconfig", resource), ("inputdataconfig", self.channels)]:
            (config / f"{name}.json").write_text(json.dumps(content))

    def _volumes(self, host):
        folder = self.folder / host
        yield f"{folder}/input:/opt/ml/input"
        yield f"{folder}/output:/opt/ml/output"
        yield f"{self.model}:/opt/ml/model"
        for channel, source in self.data.items():
            source = source(host) if callable(source) else source
            if source is not None:
                yield f"{source}:/opt/ml/input/data/{channel}"
        if self.checkpoints:
            path = self.checkpoints(host) if callable(self.checkpoints) else self.checkpoints
            Path(path).mkdir(parents=True, exist_ok=True)
            yield f"{path}:/opt/ml/checkpoints"

    # -- life ----------------------------------------------------------------------------------

    def container(self, host):
        return f"{self.name}-{host}"

    def start(self, hosts=None):
        for host in hosts or self.hosts:
            self._config(host)
            volumes = [word for volume in self._volumes(host) for word in ("--volume", volume)]
            variables = [word for name, value in self.environment.items()
                         for word in ("--env", f"{name}={value}")]
            network = [self.name, "--network-alias", host]
            if host in self.networks:
                network = [self.networks[host]]
            docker("run", "--detach", *self.restart, "--name", self.container(host), "--network", *network,
                   *volumes, *variables, self.image, *self.command)
        return self

    def wait(self, timeout_s=120, hosts=None):
        """The exit codes, by host; what still runs at the deadline fails the test."""
        deadline, codes = time.monotonic() + timeout_s, {}
        for host in hosts or self.hosts:
            while self.running(host):
                assert time.monotonic() < deadline, \
                    f"{host} still runs after {timeout_s} s:\n{self.logs()}"
                time.sleep(0.1)
            codes[host] = int(docker("inspect", "--format", "{{.State.ExitCode}}",
                                     self.container(host)))
        return codes

    def running(self, host):
        return docker("inspect", "--format", "{{.State.Running}}", self.container(host)) == "true"

    def log(self, host):
        return docker("logs", self.container(host), check=False)

    def logs(self):
        return "\n".join(f"== {host}\n{self.log(host)}" for host in self.hosts)

    def wait_for(self, host, text, timeout_s=60):
        deadline = time.monotonic() + timeout_s
        while text not in self.log(host):
            assert time.monotonic() < deadline, f"{host} never said {text!r}:\n{self.logs()}"
            assert self.running(host), f"{host} ended before it said {text!r}:\n{self.logs()}"
            time.sleep(0.1)

    def failure(self, host):
        path = self.folder / host / "output" / "failure"
        return path.read_text() if path.exists() else None

    def finished_at(self, host):
        return docker("inspect", "--format", "{{.State.FinishedAt}}", self.container(host))

    # -- harm ----------------------------------------------------------------------------------

    def kill(self, host, role):
        """kill -9 for one process inside: the host's kernel sees it, an empty image has no tools."""
        for line in docker("top", self.container(host), "-o", "pid,args").splitlines()[1:]:
            pid, command = line.split(None, 1)
            if f" {role} " in command and (role != "ps-worker" or "evaluator" not in command):
                os.kill(int(pid), signal.SIGKILL)
                return
        raise AssertionError(f"no {role} runs on {host}:\n{docker('top', self.container(host))}")

    def kill_container(self, host):
        """kill -9 for all that runs inside, as nobody who has a policy for it asked for."""
        os.kill(int(docker("inspect", "--format", "{{.State.Pid}}", self.container(host))), signal.SIGKILL)

    def restarts(self, host):
        return int(docker("inspect", "--format", "{{.RestartCount}}", self.container(host)))

    def stop(self, timeout_s=10):
        """`docker stop` for all at once, as an end of a job comes."""
        docker("stop", "--time", str(timeout_s), *map(self.container, self.hosts))

    def cut(self, host):
        docker("network", "disconnect", self.name, self.container(host))

    def restore(self, host):
        docker("network", "connect", "--alias", host, self.name, self.container(host))

    def remove_containers(self):
        docker("rm", "--force", *map(self.container, self.hosts), check=False)

    def remove(self):
        self.remove_containers()
        docker("network", "rm", self.name, check=False)
