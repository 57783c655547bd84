"""python -m engine mnist: compare networks for handwritten digits, one lane per network."""

import argparse
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from engine import settings
from engine.cli.answers import add_json
from engine.cli.following import carry_out
from engine.cli.inputs import need
from engine.contract import catalog, choices
from engine.contract.kinds.mnist import MnistSpec, NetworkExported, NetworkResult
from engine.errors import SpecError

if TYPE_CHECKING:
    from engine.runs import Run

NAME, HELP = "mnist", "compare networks for handwritten digits, one lane per network"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    default = MnistSpec()
    names = ", ".join(row.name for row in catalog.NETWORKS)
    add = parser.add_argument
    add("--networks", default=",".join(default.lane_names()), help=f"with commas, of: {names}")
    add(
        "--layers",
        action="append",
        default=[],
        metavar="NAME=LAYERS",
        help="a network of your own, trained as the beginner's: 'mine=conv 16 3, relu, pool 2, flatten, dense 10'",
    )
    add("--data", default=default.data, help="mnist, fashion_mnist, or the name of a set that was uploaded")
    add("--epochs", type=int, default=default.epochs)
    add("--training_images", type=int, default=default.training_images, help="how many, from the first on; 0: all")
    add("--batch_size", type=int, help="of every network; each has its own where none is given")
    add("--learning_rate", type=float, help="of every network, likewise")
    add("--device", choices=choices.DEVICES, default=default.device)
    add("--seed", type=int, default=default.seed)
    add_json(parser)
    parser.set_defaults(command=_mnist)


def _mnist(options: argparse.Namespace, lab: settings.Settings) -> int:
    spec = MnistSpec(
        data=options.data,
        networks=tuple(_networks(options)),
        training_images=options.training_images,
        epochs=options.epochs,
        seed=options.seed,
        device=options.device,
    )
    if faults := spec.faults():
        raise SpecError(" ".join(faults))
    if spec.data in [row.name for row in catalog.DIGIT_SETS]:
        need(lab, spec.data)
    return carry_out(options, lab, spec, None, report=_report, last_lines=_lines)


def _networks(options: argparse.Namespace) -> Iterator[catalog.Network]:
    """The networks asked for, with the batch and the rate that were given. Raises SpecError."""
    given = {"batch_size": options.batch_size, "learning_rate": options.learning_rate}
    changes = {name: value for name, value in given.items() if value is not None}
    for name in filter(None, options.networks.split(",")):
        try:
            yield catalog.network(name.strip())._replace(**changes)
        except KeyError:
            known = ", ".join(row.name for row in catalog.NETWORKS)
            raise SpecError(f"There is no network {name.strip()!r}; choose from {known}.") from None
    for text in options.layers:
        name, is_whole, layers = text.partition("=")
        if not is_whole:
            raise SpecError(f"{text!r} names no network; write NAME=LAYERS, as in 'mine=flatten, dense 10'.")
        usual = catalog.network("beginner")
        yield usual._replace(name=name, title=name, layers=layers, source="The command line", **changes)


def _report(run: "Run") -> dict[str, Any]:
    """A comparison as one record for programs; a network is listed once it was tested."""
    story = run.story
    networks = []
    for lane in run.lanes:
        if result := story.by_lane(NetworkResult).get(lane):
            exported = story.by_lane(NetworkExported).get(lane)
            networks.append(
                {
                    "name": lane,
                    "parameters": result.parameters,
                    "multiply_adds": result.multiply_adds,
                    "test_accuracy": result.test_accuracy,
                    "test_n": result.test_n,
                    "validation_accuracy": result.validation_accuracy,
                    "best_epoch": result.best_epoch or None,
                    "train_seconds": result.train_seconds,
                    "images_per_second": result.images_per_second,
                    "image_seconds": exported.image_seconds if exported else None,
                    "epochs": result.epochs,
                    "batch_size": story.lanes_started[lane].batch_size,
                    "stopped": result.stopped,
                }
            )
    return {
        "run": run.folder.path,
        "state": run.state,
        "data": run.spec.data,
        "seed": run.spec.seed,
        "seconds": {stage.name: round((stage.ended or story.last_t) - stage.began, 3) for stage in story.stages},
        "networks": networks,
        "warnings": [warning.message for warning in story.warnings],
        "error": story.error.message if story.error else None,
    }


def _lines(run: "Run") -> Iterator[str]:
    from engine.stats import interval

    titles = run.titles
    width = max(map(len, titles.values()))
    for result in sorted(run.story.by_lane(NetworkResult).values(), key=lambda each: -each.test_accuracy):
        low, high = interval(result.test_accuracy, result.test_n)
        yield (
            f"{titles[result.lane]:{width}}  test accuracy {result.test_accuracy:.2%} ({low:.2%} to {high:.2%}, "
            f"N={result.test_n:,}), {result.train_seconds:.1f} s for {result.epochs:g} epochs, "
            f"{result.parameters:,} parameters"
        )
