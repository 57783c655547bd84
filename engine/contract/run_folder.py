"""The names of the files that the lab keeps, and the locks that say who lives.

    LAB_HOME/
      runs/<id>/           one run, see RunFolder
      datasets/            what visitors uploaded to learn from
      pictures/            what they uploaded to be classified, one folder for each run
      models/<id>/         models that visitors uploaded, see engine/contract/models.py
      answers/<number>/    what visitors answered to the questions, a file a version, see engine/questions/answers.py;
                           answers/pinned.json: the runs that answers hold on to, see engine/questions/questions.py
      backbones/<name>/    networks that visitors added: row.json, a row of engine/contract/catalog.py, and its graph.pb
      assets/              weights, digits and photos, checked by sha256; derived/ is computed from them
      private/             what no other user may read, see engine/contract/signatures.py
      queue/               who is next, see engine/contract/tickets.py
      device/              what the machine does now, see engine/machine/sampler.py
      bottlenecks.sqlite   backbone outputs, see engine/worker/features/bottlenecks.py

Python 3.6, standard library only.
"""

import fcntl
import json
import os
from typing import Any


class LabHome:
    """The folders under LAB_HOME; `path` is absolute."""

    def __init__(self, path: str) -> None:
        self.path = os.path.abspath(str(path))
        self.runs = os.path.join(self.path, "runs")
        self.datasets = os.path.join(self.path, "datasets")
        self.pictures = os.path.join(self.path, "pictures")
        self.models = os.path.join(self.path, "models")
        self.backbones = os.path.join(self.path, "backbones")
        self.assets = os.path.join(self.path, "assets")
        self.derived = os.path.join(self.assets, "derived")
        self.private = os.path.join(self.path, "private")
        self.queue = os.path.join(self.path, "queue")
        self.bottlenecks = os.path.join(self.path, "bottlenecks.sqlite")

    def run(self, run_id: str) -> "RunFolder":
        return RunFolder(os.path.join(self.runs, run_id))


class RunFolder:
    """The files of one run; `path` is absolute and ends with the run's id."""

    def __init__(self, path: str) -> None:
        self.path = os.path.abspath(str(path))
        self.id = os.path.basename(self.path)
        self.spec = os.path.join(self.path, "spec.json")
        self.dataset = os.path.join(self.path, "dataset.json")
        self.events = os.path.join(self.path, "events.jsonl")
        self.log = os.path.join(self.path, "log.txt")
        self.lock = os.path.join(self.path, "lock")
        self.cancel = os.path.join(self.path, "cancel")
        self.signature = os.path.join(self.path, "signature.json")  # see engine/contract/signatures.py
        self.device = os.path.join(self.path, "device.jsonl")  # what the machine did meanwhile
        self.summaries = os.path.join(self.path, "summaries")  # <lane>/train, <lane>/validation: TensorBoard's files
        self.artifacts = os.path.join(self.path, "artifacts")
        # In artifacts/:
        self.labels = os.path.join(self.artifacts, "labels.txt")
        self.lanes = os.path.join(self.artifacts, "lanes")  # <lane>.npz: weights (width, classes), bias (classes,)
        self.saved_model = os.path.join(self.artifacts, "saved_model")
        self.tflite = os.path.join(self.artifacts, "model.tflite")
        self.tflite_8bit = os.path.join(self.artifacts, "model-8bit.tflite")
        self.graph = os.path.join(self.artifacts, "retrained_graph.pb")  # frozen, as retrain.py wrote it
        self.intermediate = os.path.join(self.artifacts, "intermediate")  # intermediate_<step>.pb, likewise
        self.contract = os.path.join(self.artifacts, "contract.json")
        self.predictions = os.path.join(self.artifacts, "predictions.json")
        self.calibration = os.path.join(self.artifacts, "calibration.json")  # see worker/learning/calibration.py
        self.photos = os.path.join(self.artifacts, "photos.json")  # the sha256 of every photo used, likewise
        self.networks = os.path.join(self.artifacts, "networks")  # <lane>.tflite and <lane>/, a SavedModel
        self.digits = os.path.join(
            self.artifacts, "digits.npz"
        )  # pictures that the page shows, see worker/mnist/comparison.py

    def stop(self, lane: str) -> str:
        """Exists once somebody asked this lane to stop; the others go on."""
        return os.path.join(self.path, "stop-" + lane)

    def network_tflite(self, lane: str) -> str:
        return os.path.join(self.networks, lane + ".tflite")

    def network_saved_model(self, lane: str) -> str:
        return os.path.join(self.networks, lane)

    @property
    def home(self) -> LabHome:
        return LabHome(os.path.dirname(os.path.dirname(self.path)))


def write_json(path: str, value: Any) -> None:
    """Write a JSON file so that a reader sees the old one or the new one, never half of one."""
    text = json.dumps(value, indent=1, ensure_ascii=False, sort_keys=False)
    part = f"{path}.{os.getpid()}.part"
    with open(part, "w", encoding="utf-8") as file:
        file.write(text + "\n")
        file.flush()
        os.fsync(file.fileno())
    os.replace(part, path)


def write_bytes(path: str, data: bytes) -> None:
    """Write a file whole or not at all; its folder is made where there is none."""
    os.makedirs(os.path.dirname(path), exist_ok=True)
    part = f"{path}.{os.getpid()}.part"
    try:
        with open(part, "wb") as file:
            file.write(data)
        os.replace(part, path)
    except OSError:
        os.remove(part)
        raise


def read_json(path: str) -> Any:
    with open(path, encoding="utf-8") as file:
        return json.load(file)


def try_lock(path: str) -> int:
    """The descriptor of an exclusive lock on `path`, or -1 where somebody else holds it.

    The kernel drops the lock when the last copy of the descriptor is closed, however the process ends.
    """
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(descriptor)
        return -1
    return descriptor


def is_locked(path: str) -> bool:
    """Whether somebody holds the lock on `path`.

    The probe is a shared lock: two exclusive probes at once would make each other see a dead run as alive.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)  # what lies there may be a pipe
    except OSError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError:
        return True
    finally:
        os.close(descriptor)
    return False
