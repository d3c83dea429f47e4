"""Scripts with Lightning."""

import json

import pytest

pytest.importorskip("lightning")

SCRIPT = """
import logging, sys, warnings, lightning, torch, psrun, psrun.lightning
warnings.filterwarnings("ignore")

class Model(lightning.LightningModule):
    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.net = torch.nn.Linear(20, 3)

    def training_step(self, batch, number):
        inputs, labels = batch
        return torch.nn.functional.cross_entropy(self.net(inputs), labels)

    def validation_step(self, batch, number):
        inputs, labels = batch
        self.log("accuracy", (self.net(inputs).argmax(1) == labels).float().mean())

    def configure_optimizers(self):
        return psrun.AsyncOptimizer(self, "sgd", lr=0.5)

torch.set_num_threads(1)
inputs = torch.randn(2000, 20, generator=torch.Generator().manual_seed(1))
dataset = torch.utils.data.TensorDataset(inputs, inputs[:, :3].argmax(1))
model = Model()
quiet = dict(logger=False, enable_checkpointing=False, enable_progress_bar=False, enable_model_summary=False)
trainer = lightning.Trainer(max_epochs=3, accelerator="cpu", callbacks=[psrun.lightning.JobCallback()], **quiet)
trainer.fit(model, psrun.lightning.DataLoader(dataset, batch_size=16), torch.utils.data.DataLoader(dataset, batch_size=100))
"""


def test_a_model_is_trained_validated_and_reported_after_each_pass(run_job):
    done, out = run_job(SCRIPT)
    report = json.loads((out / "report.json").read_text())
    assert len(report["evaluations"]) == 3, done.stdout + done.stderr
    assert report["evaluations"][-1]["scores"]["accuracy"] > 0.95, done.stdout
    # Each sample once a pass, in batches of 16.
    assert sum(worker["counters"]["steps"] for worker in report["workers"].values()) == 375


def test_training_ends_early(run_job):
    script = SCRIPT.replace("max_epochs=3", "max_epochs=50").replace('self.log("accuracy", ', 'self.log("accuracy", 0 * ')
    done, out = run_job(script, "--early-stop-after", "2", "--keep-measure", "accuracy")
    assert "training ends early" in done.stderr, done.stderr
    assert len(json.loads((out / "report.json").read_text())["evaluations"]) == 3
