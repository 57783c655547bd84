"""The flags of label_image and evaluate that say which model is asked, and the model itself."""

import argparse
import contextlib
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from engine import settings
from engine.cli.inputs import fetch_backbone, need
from engine.contract import catalog
from engine.contract import models as keys
from engine.contract.run_folder import LabHome, RunFolder
from engine.errors import SpecError

if TYPE_CHECKING:
    from engine.models.classifier import Answer, GraphFile

GRAPH, LABELS = "tf_files/retrained_graph.pb", "tf_files/retrained_labels.txt"
INPUT_FLAGS = ("input_layer", "output_layer", "input_height", "input_width", "input_mean", "input_std")


@dataclass(frozen=True)
class Model:
    name: str  # the model's key, or the graph's path
    # (an encoded picture, how many labels, how many calls after the first) -> its answer; raises ClassifierError
    classify: Callable[[bytes, int, int], "Answer"]


def add_flags(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("--graph", help=f"a frozen graph; {GRAPH} by default")
    add("--labels", help=f"its labels, one a line; {LABELS} by default")
    add("--input_layer", help="where the picture goes in; this and the following are found in the graph if not said")
    add("--output_layer")
    add("--input_height", type=int, help="pixels")
    add("--input_width", type=int, help="pixels")
    add("--input_mean", type=float, help="subtracted from RGB 0..255")
    add("--input_std", type=float, help="then divided by")
    add("--model", help="in place of a graph: a key as `python -m engine models` lists them, or a run's folder")
    add("--model_dir", help="a folder that holds that backbone's archive, or what was in it")


@contextlib.contextmanager
def opened(options: argparse.Namespace, lab: settings.Settings) -> Iterator[Model]:
    """The model that the flags name, until the block ends. Raises EngineError where there is no such model."""
    from engine.models.classifier import Classifier

    if options.model:
        home, name = _named(options, lab)
        with contextlib.closing(Classifier(home, lab.worker_python)) as classifier:
            yield Model(name, lambda image, top, repeats: classifier.classify(name, image, top, repeats))
        return
    graph = graph_file(options)
    _warn_of_order(graph)
    with contextlib.closing(Classifier(lab.home, lab.worker_python)) as classifier:
        yield Model(str(graph.graph), lambda image, top, repeats: classifier.classify_with(graph, image, top, repeats))


def graph_file(options: argparse.Namespace) -> "GraphFile":
    """What the flags say of a graph. Raises SpecError: files that are not there, values that cannot be."""
    from engine.models.classifier import GraphFile

    graph, labels = Path(options.graph or GRAPH).expanduser(), Path(options.labels or LABELS).expanduser()
    for flag, path, what in (("graph", graph, "a frozen graph"), ("labels", labels, "a file with one label a line")):
        if not path.is_file():
            raise SpecError(f"There is no file {path}. Give {what} with --{flag}, or a run or a backbone with --model.")
    found = GraphFile(graph, labels, **{name: getattr(options, name) for name in INPUT_FLAGS})
    if faults := found.faults():
        raise SpecError(" ".join(f"--{fault}" for fault in faults))
    return found


def say_what_was_found(options: argparse.Namespace, answer: "Answer") -> None:
    """On stderr: the layers and figures of a graph that no flag gave, and why they are these."""
    if options.model or all(getattr(options, name) is not None for name in INPUT_FLAGS):
        return
    print(
        f"The picture goes into {answer.input_layer} as {answer.input_width} x {answer.input_height} pixels, mean "
        f"{answer.input_mean:g}, std {answer.input_std:g}; {answer.output_layer} answers. {answer.found}",
        file=sys.stderr,
    )


def _named(options: argparse.Namespace, lab: settings.Settings) -> tuple[LabHome, str]:
    from engine.models import models
    from engine.runs import open_run

    graph_flags = ("graph", "labels", *INPUT_FLAGS)
    if said := [f"--{name}" for name in graph_flags if getattr(options, name) is not None]:
        raise SpecError(f"--model is no graph file, but {said[0]} speaks of one. Give either --model or --graph.")
    if Path(options.model, "spec.json").is_file():
        folder = RunFolder(options.model)
        open_run(folder.home, folder.id)
        return folder.home, folder.id
    try:
        place = keys.place(lab.home, options.model)
    except KeyError:
        open_run(lab.home, options.model)  # says that there is no such run
        raise
    if place.kind == keys.RUN:
        run = open_run(lab.home, place.name)
        if place.lane and models.find(lab, options.model).needs and run.backbone:
            fetch_backbone(lab, run.backbone, options.model_dir)  # a lane that was not kept answers behind it
        return lab.home, options.model
    if place.kind == keys.BACKBONE:
        row = catalog.backbone(place.name, lab.home)
        fetch_backbone(lab, row, options.model_dir)
        if catalog.labels_file(row) == catalog.IMAGENET_NAMES:
            need(lab, "imagenet_names")
    models.find(lab, options.model)
    return lab.home, options.model


def _warn_of_order(graph: "GraphFile") -> None:
    """A label's line is its output: another order gives wrong names to right answers, and nothing else shows it."""
    assert graph.labels
    labels = [line.rstrip() for line in graph.labels.read_text(encoding="utf-8", errors="replace").splitlines()]
    # retrain.py writes them as it sorts their folders; ImageNet's 1,000 have an order of their own.
    if labels != sorted(labels) and len(labels) < 1000:
        print(
            f"The labels in {graph.labels} are not in alphabetical order, in which retrain.py writes them. If they "
            "were moved about since, answers get the wrong names: give the file that was written with the graph.",
            file=sys.stderr,
        )
