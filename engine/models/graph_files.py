"""Frozen graphs of visitors, looked at and measured by processes of the worker; the dashboard never opens them."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from engine import worker_programs
from engine.errors import GraphError

INSPECTING = 120.0  # seconds: TensorFlow is loaded for it
STARTING, PER_PHOTO = 300.0, 5.0  # seconds for an evaluation


@dataclass(frozen=True)
class Evaluation:
    """How right a graph is."""

    accuracy: float  # 0..1
    cross_entropy: float  # nats
    photos: int  # that counted
    skipped: list[tuple[str, str]]  # path, why
    classes: int
    per_class: list[tuple[str, int, int]]  # label, how many right, how many photos
    input_layer: str
    output_layer: str
    input_height: int  # pixels
    input_width: int
    input_mean: float  # subtracted from RGB 0..255
    input_std: float  # then divided by


def inspect(worker_python: str, path: Path | str) -> dict[str, Any]:
    """What can be said of a graph's file without running it.

    bytes, nodes, operations {name: count}, parameters, inputs, outputs, classes; and what label_image asks for:
    input_layer, output_layer, input_height, input_width, input_mean, input_std, with the reason in `guess`. Null or ""
    is what the graph does not tell. Raises GraphError with a sentence, and WorkerStartError.
    """
    absolute = str(Path(path).expanduser().absolute())
    return worker_programs.ask(
        worker_python, "engine.worker.formats.graphs", [absolute], None, INSPECTING, refused=GraphError
    )


def evaluate(
    worker_python: str,
    graph: Path | str,
    labels: Path | str | Sequence[str],
    photos: Sequence[tuple[Path | str, int]],
    progress: Callable[[int, int], None] = lambda done, total: None,
    **given: Any,
) -> Evaluation:
    """Accuracy and cross entropy of a graph on photos (path, index of its label).

    `labels`: the file written with the graph, one a line, or the labels themselves. `given`: input_layer, output_layer,
    input_height, input_width, input_mean, input_std; what is not given or None is found in the graph. `progress` gets
    photos done and their number, from another thread. Raises GraphError with a sentence, and WorkerStartError.
    """
    question = given | {
        "graph": str(Path(graph).expanduser().absolute()),
        "labels": str(Path(labels).expanduser().absolute()) if isinstance(labels, str | Path) else list(labels),
        "photos": [[str(Path(path).expanduser().absolute()), label] for path, label in photos],
    }

    def line(text: str) -> None:
        done, _, total = text.partition(" of ")
        if done.isdigit() and total.isdigit():
            progress(int(done), int(total))

    seconds = STARTING + PER_PHOTO * len(photos)
    answer = worker_programs.ask(worker_python, "engine.worker.evaluate", [], question, seconds, line, GraphError)
    for name in ("skipped", "per_class"):
        answer[name] = [tuple(each) for each in answer[name]]
    return Evaluation(**{field.name: answer[field.name] for field in fields(Evaluation)})
