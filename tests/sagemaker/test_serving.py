"""Models that were trained on a table, deployed by the real SDK in local mode."""

import json
import random
import subprocess
from pathlib import Path

from conftest import IMAGE, OFFLINE, python, running_containers


def table(path, rows, seed):
    """A table with a text column, a missing value here and there, and what each line is called."""
    draw = random.Random(seed)
    lines = ["id,width,colour,kind"]
    for row in range(rows):
        kind = draw.randrange(3)
        width = "" if row % 17 == 5 else f"{5 + 2 * kind + draw.random():.3f}"
        colour = ["red", "green", "blue"][kind if draw.random() < 0.9 else 0]
        lines.append(f"tree {row},{width},{colour},{['ash', 'birch', 'oak'][kind]}")
    path.parent.mkdir(parents=True)
    path.write_text("\n".join(lines) + "\n")
    return [line.rsplit(",", 1)[1] for line in lines[1:]]


def test_a_table_is_fitted_deployed_and_transformed(tmp_path):
    data = tmp_path / "data"
    table(data / "train" / "train.csv", 300, 1)
    kinds = table(data / "test" / "test.csv", 100, 2)
    script = Path(__file__).with_name("serve_v2.py")
    command = [python("sdk2"), str(script), "--image", IMAGE, "--data", str(data),
               "--folder", str(tmp_path / "job")]
    done = subprocess.run(command, env=OFFLINE, text=True, timeout=300,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    assert done.returncode == 0, done.stdout
    result = json.loads(done.stdout.rsplit("RESULT ", 1)[1])
    predicted = [line.split(",")[0] for line in result["answers"]]
    assert len(predicted) == len(kinds)
    assert sum(one == other for one, other in zip(predicted, kinds)) >= 85, predicted
    first = result["document"]["predictions"][0]
    assert first["prediction"] == predicted[0]
    assert set(first["probabilities"]) == {"ash", "birch", "oak"}
    assert [line.split(",")[0] for line in result["transformed"] if line] == predicted
    assert running_containers() == []
