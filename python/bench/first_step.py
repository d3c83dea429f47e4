"""Seconds from `pip install` of the wheel, into an environment that has torch, to the end of a script's first step."""

import subprocess
import sys
import tempfile
import time

SCRIPT = """
import torch, psrun
model = torch.nn.Linear(784, 10)
optimizer = psrun.AsyncOptimizer(model, "sgd", lr=0.1)
model(torch.zeros(1, 784)).sum().backward()
optimizer.step()
"""


def main() -> None:
    wheel = sys.argv[1]
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run([sys.executable, "-m", "venv", "--system-site-packages", folder], check=True)
        # torch is in the environment that runs this.
        site = subprocess.run([sys.executable, "-c", "import torch; print(torch.__path__[0].rsplit('/', 1)[0])"], capture_output=True, text=True)
        began = time.perf_counter()
        python = f"{folder}/bin/python"
        install = [python, "-m", "pip", "install", "--quiet", "--no-index", "--no-deps", "--force-reinstall", wheel]
        subprocess.run(install, check=True)
        script = f"import sys; sys.path.append({site.stdout.strip()!r})\n{SCRIPT}"
        subprocess.run([python, "-c", script], check=True, capture_output=True)
        print(f"install_to_first_step_s={time.perf_counter() - began:.3f};")


if __name__ == "__main__":
    main()
