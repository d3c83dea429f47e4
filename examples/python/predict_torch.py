"""A fully connected model that psrun trained on a table, as a PyTorch module (`predict_numpy.py` encodes the lines).

    python3 predict_torch.py model new.csv
"""

import sys

import predict_numpy
import torch


def module(tensors):
    """The layers of `--model mlp`; weights are stored as PyTorch's Linear has them."""
    layers = sorted((name[:-7] for name in tensors if name.endswith(".weight")), key=lambda it: int(it[5:]))
    parts = []
    for name in layers:
        weight, bias = (torch.tensor(tensors[f"{name}.{part}"]) for part in ("weight", "bias"))
        linear = torch.nn.Linear(weight.shape[1], weight.shape[0])
        linear.load_state_dict({"weight": weight, "bias": bias})
        parts += [linear, torch.nn.ReLU()]
    return torch.nn.Sequential(*parts[:-1])


def outputs(model, tensors, features, ids):
    assert model == "mlp" and ids.shape[1:] in ((), (0,)), "this example has no embeddings: see predict_numpy.py"
    with torch.no_grad():
        return module(tensors)(torch.tensor(features)).numpy()


if __name__ == "__main__":
    predict_numpy.outputs = outputs
    predict_numpy.main(*sys.argv[1:])
