"""python -m engine retrain: learn from photos, one lane per learning rate.

The flags are those of TensorFlow for Poets' retrain.py, with its meanings and defaults, so that its commands run as
they were typed. Where it wrote to the system's temporary folder, the run's own folder holds the files.
"""

import argparse
import os.path
import sys
from typing import TYPE_CHECKING

from engine import settings
from engine.cli import retrain_files, retrain_lines
from engine.cli.answers import add_json
from engine.cli.following import carry_out
from engine.cli.inputs import dataset, fetch_backbone
from engine.cli.progress import progress_bar
from engine.contract import catalog, choices, events, memory
from engine.contract.kinds.race import RaceSpec
from engine.errors import AssetError, SpecError

if TYPE_CHECKING:
    from engine.contract.dataset import Dataset

ARCHITECTURE = "inception_v3"  # retrain.py's default; the lab's own is RaceSpec()'s
LEARNING_RATES = (0.01,)

NAME, HELP = "retrain", "learn from photos, one lane per learning rate"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    default, add = RaceSpec(), parser.add_argument
    add("--image_dir", required=True, help="a folder with one folder per class, or the name of a set: traffic_lights")
    add("--output_graph", help="a file: the trained graph is copied there")
    add("--intermediate_output_graphs_dir", help="a folder: the intermediate graphs are copied there")
    add(
        "--intermediate_store_frequency",
        type=int,
        default=default.intermediate_store_frequency,
        help="steps between two intermediate graphs; 0, the default: none",
    )
    add("--output_labels", help="a file: the labels are copied there, one a line")
    add("--summaries_dir", default="", help="a folder: TensorBoard's event files go there too")
    add("--how_many_training_steps", type=int, default=default.steps)
    add(
        "--learning_rate",
        type=_learning_rates,
        default=LEARNING_RATES,
        help="0.01 by default; or several with commas, a lane each: 0.005,0.5,1.0",
    )
    add("--testing_percentage", type=int, default=default.testing_percentage)
    add("--validation_percentage", type=int, default=default.validation_percentage)
    add("--eval_step_interval", type=int, default=default.eval_step_interval)
    add("--train_batch_size", type=int, default=default.train_batch_size)
    add("--test_batch_size", type=int, default=default.test_batch_size, help="-1, the default: every testing photo")
    add("--validation_batch_size", type=int, default=default.validation_batch_size, help="-1: every validation photo")
    add("--print_misclassified_test_images", action="store_true", help="list the testing photos that came out wrong")
    add("--model_dir", help="a folder that holds the backbone's archive, or what was in it")
    add("--bottleneck_dir", default="", help="a folder of retrain.py's bottleneck files, read and written")
    add("--final_tensor_name", default=default.final_tensor_name, help="of the trained graph's output")
    add("--flip_left_right", action="store_true", help="mirror half of the training photos, anew at each step")
    add("--random_crop", type=int, default=default.random_crop, help="percent: how much of a photo's margin to crop")
    add("--random_scale", type=int, default=default.random_scale, help="percent: how much to enlarge at most")
    add("--random_brightness", type=int, default=default.random_brightness, help="percent: how much to multiply by")
    others = ", ".join(row.name for row in catalog.BACKBONES)
    add(
        "--architecture",
        default=ARCHITECTURE,
        help=(
            f"the backbone: {ARCHITECTURE} (the default), "
            f"mobilenet_<1.0|0.75|0.50|0.25>_<224|192|160|128>[_quantized], {others}, or a TensorFlow Hub module: its "
            "handle, address, folder or archive, or hub_<name> once it was added"
        ),
    )
    add("--module_size", type=int, help="pixels: of a TensorFlow Hub module that takes pictures of any size")
    add("--device", choices=choices.DEVICES, default=default.device)
    add("--threads", type=int, default=default.threads, help="cores that the run may use; 0, the default: every one")
    add("--no_cache", action="store_true", help="neither read nor keep bottlenecks, so that their time is measured")
    add("--predict", action="store_true", help="measure a few photos first, and say what the run is going to take")
    add("--seed", type=int, default=default.seed)
    add(
        "--split_key",
        choices=("name", "typed_path"),
        default="name",
        help="what decides the split of a photo: its class and name, or its path as typed, as in retrain.py",
    )
    add_json(parser)
    parser.set_defaults(command=_retrain)


def _learning_rates(text: str) -> tuple[float, ...]:
    try:
        return tuple(float(part) for part in text.split(","))
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is no number and no list like 0.005,0.5,1.0") from None


def _retrain(options: argparse.Namespace, lab: settings.Settings) -> int:
    known = _known_backbone(options, lab)
    spec = _spec(options, known.name if known else "hub_module")  # a module gets its name when it is added
    if faults := spec.faults() + retrain_files.faults(options):
        raise SpecError(" ".join(faults))
    photos = dataset(options.image_dir, lab, spec, options.split_key)
    row = _fetch(options, lab, known) if known else _add_module(options, lab)
    lines = retrain_lines.Lines(options.image_dir, options.print_misclassified_test_images)
    spec = spec._replace(backbone=row.name)
    return carry_out(
        options,
        lab,
        spec,
        photos,
        foreseen=_predict(lab, spec, photos) if options.predict else None,
        report=retrain_lines.report,
        new_lines=lines.new,
        last_lines=lines.last,
        finish=lambda run: retrain_files.copy(run.folder, options),
    )


def _predict(lab: settings.Settings, spec: RaceSpec, dataset: "Dataset") -> events.Predicted:
    from engine.kinds import prediction

    told = prediction.predict(lab.home, lab.worker_python, spec, dataset)
    print(prediction.in_words(told, len(dataset.photos)), file=sys.stderr)
    if short := prediction.shortage(told.memory_bytes, memory.available()):
        print(short, file=sys.stderr)
    return told


def _spec(options: argparse.Namespace, backbone: str) -> RaceSpec:
    return RaceSpec(
        backbone=backbone,
        learning_rates=options.learning_rate,
        steps=options.how_many_training_steps,
        train_batch_size=options.train_batch_size,
        validation_batch_size=options.validation_batch_size,
        test_batch_size=options.test_batch_size,
        eval_step_interval=options.eval_step_interval,
        validation_percentage=options.validation_percentage,
        testing_percentage=options.testing_percentage,
        seed=options.seed,
        device=options.device,
        flip_left_right=options.flip_left_right,
        random_crop=options.random_crop,
        random_scale=options.random_scale,
        random_brightness=options.random_brightness,
        bottleneck_dir=_absolute(options.bottleneck_dir),
        summaries_dir=_absolute(options.summaries_dir),
        intermediate_store_frequency=options.intermediate_store_frequency,
        final_tensor_name=options.final_tensor_name,
        threads=options.threads,
        use_cache=not options.no_cache,
    )


def _absolute(folder: str) -> str:
    """As a worker, which has another current folder, can use it; "" stays ""."""
    return os.path.abspath(os.path.expanduser(folder)) if folder else ""


def _known_backbone(options: argparse.Namespace, lab: settings.Settings) -> catalog.Backbone | None:
    """The row that --architecture names; None where it leads to a module. Raises SpecError."""
    name = options.architecture
    try:
        return catalog.backbone(name, lab.home)
    except KeyError:
        if "/" in name or name.endswith((".tar.gz", ".tgz")) or os.path.isdir(name):
            return None
        if name.startswith("hub_"):
            added = ", ".join(row.name for row in catalog.added_backbones(lab.home)) or "none so far"
            raise SpecError(f"There is no module {name}; added are: {added}. Give its handle to add it.") from None
        raise SpecError(" ".join(_spec(options, name).faults())) from None


def _fetch(options: argparse.Namespace, lab: settings.Settings, row: catalog.Backbone) -> catalog.Backbone:
    """The row, its weights on this machine now; or what stands in where they cannot be had. Raises AssetError."""
    try:
        fetch_backbone(lab, row, options.model_dir)
        return row
    except AssetError as error:
        if row.name not in catalog.STAND_INS:
            raise
        stand_in = catalog.backbone(catalog.STAND_INS[row.name])
        fetch_backbone(lab, stand_in)
        print(
            f"{error}\n{stand_in.title} stands in for {row.title}: the same architecture with other weights, and its "
            f"figures are not the original's. {stand_in.source}.",
            file=sys.stderr,
        )
        return stand_in


def _add_module(options: argparse.Namespace, lab: settings.Settings) -> catalog.Backbone:
    from engine.assets import hub

    typed = os.path.expanduser(options.architecture)
    handle = os.path.abspath(typed) if os.path.exists(typed) else options.architecture
    try:
        with progress_bar() as bar:
            bar.draw("Adding", 0, 0, handle)
            return hub.add(lab.home, lab.worker_python, handle, options.module_size)
    except hub.NeedsSize as error:
        raise SpecError(f"{error} The flag is --module_size, as in --module_size 224.") from error
