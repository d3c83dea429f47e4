"""A fully connected model that psrun trained on a table, as a PyTorch module (`predict_numpy.py` encodes the lines).

    python3 predict_torch.py model new.csv
"""

import sys

import predict_numpy
import torch


def linear(tensors, name):
    """A layer; weights are stored as PyTorch has them."""
    weight, bias = (torch.tensor(tensors[f"{name}.{part}"]) for part in ("weight", "bias"))
    layer = torch.nn.Linear(weight.shape[1], weight.shape[0])
    layer.load_state_dict({"weight": weight, "bias": bias})
    return layer


class Mlp(torch.nn.Module):
    """What `--model mlp` is: layers and, for rows of values, a linear path beside them."""

    def __init__(self, tensors):
        super().__init__()
        names = (name[:-7] for name in tensors if name.startswith("layer") and name.endswith(".weight"))
        parts = []
        for name in sorted(names, key=lambda it: int(it[5:])):
            parts += [linear(tensors, name), torch.nn.ReLU()]
        self.layers = torch.nn.Sequential(*parts[:-1])
        self.path = linear(tensors, "linear-path") if "linear-path.weight" in tensors else None

    def forward(self, features):
        outputs = self.layers(features)
        return outputs if self.path is None else outputs + self.path(features)


def outputs(model, tensors, features, ids):
    assert model == "mlp" and ids.shape[1:] in ((), (0,)), "this example has no embeddings: see predict_numpy.py"
    with torch.no_grad():
        return Mlp(tensors)(torch.tensor(features)).numpy()


if __name__ == "__main__":
    predict_numpy.outputs = outputs
    predict_numpy.main(*sys.argv[1:])
