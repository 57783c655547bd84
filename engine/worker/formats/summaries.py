"""TensorBoard's event files, written while a run goes on, with the tags of TensorFlow for Poets' retrain.py.

`accuracy_1` and `cross_entropy_1` of every evaluation on both writers of a lane, train and validation; mean, deviation,
extremes and histogram of the last layer's weights and biases on the train writer, once a block. tensorboard's own
record writer and protobufs: TensorFlow, which takes longer to import than a race on kept bottlenecks, is not needed.
Nothing here ends a run: where the files cannot be written, that is said once and the run goes on. Python 3.6.
"""

import os
import socket
import time
from typing import Any, Dict, List, Optional, Sequence, Tuple

import numpy as np

from engine.contract import events
from engine.contract.run_folder import RunFolder
from engine.worker.reporter import Reporter

FOLDERS = {"training": "train", "validation": "validation"}  # retrain.py's names of the writers, by split
ACCURACY, CROSS_ENTROPY = "accuracy_1", "cross_entropy_1"
BINS = 30  # of a histogram

Point = Tuple[int, Optional[float], Optional[float]]  # step, accuracy 0..1, cross-entropy in nats; None where not known


class Summaries:
    """The event files of one run's lanes.

    They stand in summaries/<lane>/<writer> of the run's folder, and in <other>/<run's id>/<lane>/<writer> where
    `other` names a folder, beside what earlier runs left there.
    """

    def __init__(self, folder: RunFolder, lanes: Sequence[str], report: Reporter, other: str = "") -> None:
        self._report = report
        self._writers: Dict[Tuple[str, str], List[Any]] = {}  # (lane, split) -> one for each place
        self._files: List[Any] = []
        places = [folder.summaries] + ([os.path.join(other, folder.id)] if other else [])
        try:
            self._open(places, lanes)
        except ImportError:
            self._give_up("the worker's Python has no tensorboard. Install it there (pip install tensorboard)")
        except OSError as error:
            self._give_up(f"{error.filename or places[-1]} cannot be written: {error.strerror}")

    def _open(self, places: List[str], lanes: Sequence[str]) -> None:
        from tensorboard.compat.proto.event_pb2 import Event, SessionLog
        from tensorboard.summary.writer.record_writer import RecordWriter

        now = time.time()
        name = f"events.out.tfevents.{now:.0f}.{socket.gethostname()}.{os.getpid()}"
        version = Event(wall_time=now, file_version="brain.Event:2").SerializeToString()
        # What an earlier file says of later steps no longer counts: a run that began anew with a smaller batch.
        start = Event(wall_time=now, step=0, session_log=SessionLog(status=SessionLog.START)).SerializeToString()
        for place in places:
            for lane in lanes:
                for split, writer in FOLDERS.items():
                    folder = os.path.join(place, lane, writer)
                    os.makedirs(folder, exist_ok=True)
                    self._files.append(open(os.path.join(folder, name), "wb"))  # noqa: SIM115  # until close
                    records = RecordWriter(self._files[-1])
                    records.write(version)
                    records.write(start)
                    self._writers.setdefault((lane, split), []).append(records)
        self._flush()

    def scalars(self, lane: str, split: str, points: Sequence[Point]) -> None:
        """Evaluations of one lane on one split; `flush` makes them seen."""
        if not self._writers:
            return
        from tensorboard.compat.proto.summary_pb2 import Summary

        now = time.time()
        for step, accuracy, cross_entropy in points:
            values = []
            if accuracy is not None:
                values.append(Summary.Value(tag=ACCURACY, simple_value=float(accuracy)))
            if cross_entropy is not None:
                values.append(Summary.Value(tag=CROSS_ENTROPY, simple_value=float(cross_entropy)))
            self._write(lane, split, now, step, values)

    def variables(self, lane: str, step: int, weights: np.ndarray, bias: np.ndarray) -> None:
        """What the last layer of a lane holds at that step: weights (width, classes), bias (classes,)."""
        if self._writers:
            values = _of_variable("weights", weights) + _of_variable("biases", bias)
            self._write(lane, "training", time.time(), step, values)

    def flush(self) -> None:
        try:
            self._flush()
        except OSError as error:
            self._give_up(f"{error.strerror}")

    def close(self) -> None:
        self.flush()
        self._close()

    def _write(self, lane: str, split: str, now: float, step: int, values: List[Any]) -> None:
        from tensorboard.compat.proto.event_pb2 import Event
        from tensorboard.compat.proto.summary_pb2 import Summary

        record = Event(wall_time=now, step=step, summary=Summary(value=values)).SerializeToString()
        try:
            for writer in self._writers.get((lane, split), []):
                writer.write(record)
        except OSError as error:
            self._give_up(f"{error.strerror}")

    def _flush(self) -> None:
        for file in self._files:
            file.flush()

    def _give_up(self, why: str) -> None:
        self._close()
        message = f"The files for TensorBoard are not written: {why}. The run goes on without them."
        self._report.tell(events.Warning, message=message)

    def _close(self) -> None:
        files, self._files, self._writers = self._files, [], {}
        for file in files:
            try:
                file.close()
            except OSError:
                pass  # said already: closing writes what is still held back


def _of_variable(name: str, variable: np.ndarray) -> List[Any]:
    from tensorboard.compat.proto.summary_pb2 import HistogramProto, Summary

    stem = f"final_training_ops/{name}/summaries/"
    with np.errstate(all="ignore"):  # of a lane that diverged
        figures = {"mean": variable.mean(), "stddev_1": variable.std(), "max": variable.max(), "min": variable.min()}
    values = [Summary.Value(tag=stem + each, simple_value=float(value)) for each, value in figures.items()]
    if np.isfinite(variable).all():  # else there is nothing to count in bins
        numbers = variable.astype(np.float64).ravel()
        counts, edges = np.histogram(numbers, BINS)
        histogram = HistogramProto(
            min=numbers.min(),
            max=numbers.max(),
            num=numbers.size,
            sum=numbers.sum(),
            sum_squares=numbers.dot(numbers),
            bucket_limit=edges[1:],
            bucket=counts.astype(np.float64),
        )
        values.append(Summary.Value(tag=stem + "histogram", histo=histogram))
    return values
