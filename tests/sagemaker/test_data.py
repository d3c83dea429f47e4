"""How data come: what local mode refuses, laid out as the service does."""

import json
import os
import subprocess
import threading

import numpy
from conftest import DIGITS, python, read_idx


def digits(name):
    images = read_idx(DIGITS / f"{name}-images-idx3-ubyte.gz")
    labels = read_idx(DIGITS / f"{name}-labels-idx1-ubyte.gz")
    return images.reshape(len(images), -1).astype(numpy.float32) / 255, labels


def csv(folder, values, labels):
    folder.mkdir(parents=True, exist_ok=True)
    header = ",".join([f"p{i}" for i in range(values.shape[1])] + ["label"])
    rows = [",".join([*(f"{value:.4f}" for value in row), str(label)])
            for row, label in zip(values, labels)]
    (folder / "part.csv").write_text("\n".join([header, *rows]) + "\n")
    return folder


SHARDED = {"training": {"TrainingInputMode": "File", "S3DistributionType": "ShardedByS3Key",
                        "RecordWrapperType": "None", "ContentType": "text/csv"},
           "test": {"TrainingInputMode": "File", "S3DistributionType": "FullyReplicated"}}


def report(cluster):
    return json.loads((cluster.model / "report.json").read_text())


def test_sharded_by_key_trains_on_every_hosts_share_also_the_masters(job, tmp_path):
    values, labels = digits("train")
    cuts = {"algo-1": slice(0, 400), "algo-2": slice(400, 600), "algo-3": slice(600, None)}
    shares = {host: csv(tmp_path / host, values[cut], labels[cut]) for host, cut in cuts.items()}
    test = csv(tmp_path / "test", *digits("t10k"))
    cluster = job(channels=SHARDED, data={"training": shares.get, "test": test},
                  hyperparameters={"passes": "15"}).start()
    assert set(cluster.wait().values()) == {0}, cluster.logs()
    found = report(cluster)
    assert found["train_samples"] == len(labels)
    assert found["final_metrics"]["test_accuracy"] >= 0.95
    trained = sum(worker["counters"]["samples"] for worker in found["workers"].values())
    assert trained == 15 * len(labels), found["workers"]


def test_fewer_objects_than_hosts_leave_a_host_without_data(job, tmp_path):
    values, labels = digits("train")
    (tmp_path / "empty").mkdir()
    shares = {"algo-1": tmp_path / "empty", "algo-2": csv(tmp_path / "all", values, labels),
              "algo-3": tmp_path / "empty"}
    test = csv(tmp_path / "test", *digits("t10k"))
    cluster = job(channels=SHARDED, data={"training": shares.get, "test": test},
                  hyperparameters={"passes": "15"}).start()
    assert set(cluster.wait().values()) == {0}, cluster.logs()
    assert report(cluster)["final_metrics"]["test_accuracy"] >= 0.95


def test_a_dead_hosts_rest_is_skipped_and_counted(job, tmp_path):
    values, labels = digits("train")
    shares = {f"algo-{k + 1}": csv(tmp_path / str(k), values[k::3], labels[k::3])
              for k in range(3)}
    test = csv(tmp_path / "test", *digits("t10k"))
    cluster = job(channels=SHARDED, data={"training": shares.get, "test": test},
                  hyperparameters={"passes": "100"}).start()
    cluster.wait_for("algo-1", "pass=2;")
    cluster.kill("algo-3", "ps-worker")
    assert set(cluster.wait(180).values()) == {0}, cluster.logs()
    assert report(cluster)["samples_skipped"] > 0


# To a file: the SDK prints what it likes while it is imported.
ENCODE = """
import sys, numpy
from sagemaker.amazon.common import write_numpy_to_dense_tensor
data = numpy.load(sys.argv[1])
with open(sys.argv[2], "wb") as records:
    write_numpy_to_dense_tensor(records, data["values"], data["labels"].astype("float32"))
"""


def encoded(folder, values, labels):
    """RecordIO-protobuf as AWS's own package writes it."""
    folder.mkdir(parents=True, exist_ok=True)
    samples, records = folder / "samples.npz", folder / "part-0.rec"
    numpy.savez(samples, values=values.astype(numpy.float32), labels=labels)
    subprocess.run([python("sdk2"), "-c", ENCODE, str(samples), str(records)],
                   capture_output=True, check=True,
                   env={**os.environ, "SAGEMAKER_SUPPRESS_V2_WARNING": "1"})
    samples.unlink()
    return records.read_bytes()


RECORDS = {"ContentType": "application/x-recordio-protobuf", "RecordWrapperType": "None",
           "S3DistributionType": "FullyReplicated"}


def test_recordio_protobuf_files(job, tmp_path):
    for name in ("train", "t10k"):
        encoded(tmp_path / name, *digits(name))
    channels = {name: {"TrainingInputMode": "File", **RECORDS} for name in ("training", "test")}
    cluster = job(channels=channels, hyperparameters={"passes": "15"},
                  data={"training": tmp_path / "train", "test": tmp_path / "t10k"}).start()
    assert set(cluster.wait().values()) == {0}, cluster.logs()
    assert report(cluster)["final_metrics"]["test_accuracy"] >= 0.95


def test_pipe_mode_reads_a_fifo_for_each_pass(job, tmp_path):
    passes = 6
    train, test = (encoded(tmp_path / name, *digits(name)) for name in ("train", "t10k"))
    stop = threading.Event()

    def feed(folder, host):
        """As the agent does: the FIFO of a pass appears when the one before was read."""
        def write(channel, number, content):
            path = folder / f"{channel}_{number}"
            if not path.exists():
                os.mkfifo(path)
            try:
                # Opening blocks until somebody reads; a non-blocking try lets the test end.
                while not stop.is_set():
                    try:
                        handle = os.open(path, os.O_WRONLY | os.O_NONBLOCK)
                    except OSError:
                        stop.wait(0.02)
                        continue
                    os.set_blocking(handle, True)
                    with os.fdopen(handle, "wb") as fifo:
                        fifo.write(content)
                    return
            except BrokenPipeError:
                pass

        threads = [threading.Thread(target=write, args=("test", 0, test), daemon=True)]
        threads.append(threading.Thread(
            target=lambda: [write("training", n, train) for n in range(passes)], daemon=True))
        for thread in threads:
            thread.start()
        return threads

    channels = {name: {"TrainingInputMode": "Pipe", **RECORDS} for name in ("training", "test")}
    cluster = job(channels=channels, data={},
                  hyperparameters={"passes": str(passes)})
    try:
        for host in cluster.hosts:
            folder = cluster.folder / host / "input" / "data"
            folder.mkdir(parents=True)
            feed(folder, host)
        cluster.start()
        assert set(cluster.wait(120).values()) == {0}, cluster.logs()
    finally:
        stop.set()
    found = report(cluster)
    trained = sum(worker["counters"]["samples"] for worker in found["workers"].values())
    assert trained == passes * len(digits("train")[1])
    assert found["final_metrics"]["test_accuracy"] >= 0.9


def test_nothing_is_written_next_to_the_data(job, tmp_path):
    """FastFile channels are read-only mounts."""
    cluster = job(hosts=2, hyperparameters={"passes": "3"})
    cluster.data = {"training": f"{DIGITS}"}
    cluster._volumes_of = cluster._volumes
    cluster._volumes = lambda host: (
        f"{volume}:ro" if "/input/data/" in volume else volume
        for volume in cluster._volumes_of(host))
    cluster.start()
    assert set(cluster.wait().values()) == {0}, cluster.logs()
