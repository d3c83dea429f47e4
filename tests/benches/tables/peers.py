"""The other side of tables.py, as people write it: pandas reads, PyTorch predicts, Flask serves."""
import csv
import json
import sys
import time
from pathlib import Path


def read(file):
    import pandas
    began = time.perf_counter()
    pandas.read_csv(file, engine="c")
    print(f"read_s={time.perf_counter() - began:.6f};")


class Trained:
    """The model that psrun left, in PyTorch."""

    def __init__(self, folder):
        import torch
        from safetensors.torch import load_file
        torch.set_num_threads(1)
        weights = load_file(Path(folder) / "model.safetensors")

        def linear(name):
            weight = weights[f"{name}.weight"]
            layer = torch.nn.Linear(weight.shape[1], weight.shape[0])
            layer.load_state_dict({"weight": weight, "bias": weights[f"{name}.bias"]})
            return layer.eval()

        layers = []
        while f"layer{len(layers) // 2 + 1}.weight" in weights:
            layers += [linear(f"layer{len(layers) // 2 + 1}"), torch.nn.ReLU()]
        self.model = torch.nn.Sequential(*layers[:-1])
        # Beside the layers, and as much work as it is for psrun.
        self.path = linear("linear-path") if "linear-path.weight" in weights else None
        columns = json.loads((Path(folder) / "schema.json").read_text())["columns"]
        numbers = [column for column in columns if column["use"] == "numeric"]
        self.means = torch.tensor([column["mean"] for column in numbers])
        self.deviations = torch.tensor([column["deviation"] for column in numbers])
        self.classes = next(column["classes"] for column in columns if column["use"] == "class")

    def shares(self, inputs):
        import torch
        with torch.no_grad():
            inputs = (inputs - self.means) / self.deviations
            outputs = self.model(inputs)
            outputs = outputs if self.path is None else outputs + self.path(inputs)
            return torch.softmax(outputs, dim=1)


def predict(folder, file, out):
    import pandas
    import torch
    trained = Trained(folder)
    trained.shares(torch.zeros(2, len(trained.means)))
    began = time.perf_counter()
    inputs = pandas.read_csv(file).iloc[:, :-1].to_numpy("float32")
    shares = torch.cat([trained.shares(part) for part in torch.from_numpy(inputs).split(4096)]).numpy()
    computed = time.perf_counter()
    written = pandas.DataFrame(shares, columns=[f"p_{name}" for name in trained.classes])
    written.insert(0, "prediction", [trained.classes[at] for at in shares.argmax(axis=1)])
    written.to_csv(out, index=False)
    ended = time.perf_counter()
    print(f"all_s={ended - began:.6f}; write_s={ended - computed:.6f};")


def serve(folder):
    import io
    import logging
    import socket
    import flask
    import pandas
    import torch
    trained = Trained(folder)
    app = flask.Flask(__name__)
    logging.getLogger("werkzeug").setLevel(logging.ERROR)

    @app.post("/invocations")
    def invoke():
        if flask.request.mimetype == "text/csv":
            rows = pandas.read_csv(io.BytesIO(flask.request.data), header=None).to_numpy("float32")
            inputs = torch.from_numpy(rows)
        else:
            inputs = torch.tensor(flask.request.get_json()["instances"])
        shares = trained.shares(inputs)
        best = shares.argmax(dim=1).tolist()
        rows = zip(best, shares.tolist())
        if flask.request.mimetype == "text/csv":
            text = io.StringIO()
            csv.writer(text).writerows([trained.classes[at], *share] for at, share in rows)
            return flask.Response(text.getvalue(), mimetype="text/csv")
        said = [{"prediction": trained.classes[at], "probabilities": dict(zip(trained.classes, share))}
                for at, share in rows]
        return flask.jsonify(predictions=said)

    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    print(f"listening=127.0.0.1:{port};", flush=True)
    app.run(port=port, threaded=True)


if __name__ == "__main__":
    {"read": read, "predict": predict, "serve": serve}[sys.argv[1]](*sys.argv[2:])
