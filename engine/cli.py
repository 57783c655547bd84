"""python -m engine retrain | mnist | label_image | runs | assets: what the pages do, without a browser.

Exit codes: 0 done, 1 failed, 2 bad arguments (nothing was started), 130 cancelled. Answers go to stdout, progress and
failures to stderr. With --json every command prints one JSON object on stdout, last and alone.
"""

import argparse
import contextlib
import json
import shutil
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from engine import assets, settings
from engine.contract import catalog, events, specs
from engine.errors import AssetError, EngineError, PhotosError, RunNotFound, SpecError

# The rest is imported by the command that needs it, so that `assets` with nothing to do ends at once.
if TYPE_CHECKING:
    from engine.contract.dataset import Dataset
    from engine.photos import Scan
    from engine.queue import Queue
    from engine.runs import Run

DONE, FAILED, BAD_ARGUMENTS, CANCELLED = 0, 1, 2, 130
EXIT_CODES = {events.DONE: DONE, events.FAILED: FAILED, events.LOST: FAILED, events.CANCELLED: CANCELLED}


def main(arguments: list[str], worker_module: str = "engine.worker") -> int:
    """Run one command and return its exit code; argparse itself exits with 2."""
    options = _parser().parse_args(arguments)
    options.worker_module = worker_module
    try:
        return options.command(options, settings.load())
    except KeyboardInterrupt:
        print("Cancelled.", file=sys.stderr)
        return CANCELLED
    except EngineError as error:
        print(error, file=sys.stderr)
        if options.json:
            _print_json({"error": str(error)})
        return BAD_ARGUMENTS if isinstance(error, (SpecError, PhotosError, RunNotFound)) else FAILED


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m engine", description="Bottleneck Lab without a browser.")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    _add_retrain(commands.add_parser("retrain", help="learn from photos, one lane per learning rate"))
    _add_mnist(commands.add_parser("mnist", help="compare networks for handwritten digits, one lane per network"))
    _add_label_image(commands.add_parser("label_image", help="what a model says about a picture"))
    _add_runs(commands.add_parser("runs", help="list, cancel or delete runs"))
    _add_assets(commands.add_parser("assets", help="fetch weights, digits and photos, or list them"))
    return parser


def _add_json(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--json", action="store_true", help="print one JSON object on stdout")


def _print_json(value: dict[str, Any]) -> None:
    print(json.dumps(value, ensure_ascii=False, allow_nan=False))


# --- retrain ---------------------------------------------------------------------------------------------------------


def _add_retrain(parser: argparse.ArgumentParser) -> None:
    default = specs.DEFAULT_RETRAIN
    add = parser.add_argument
    add("--image_dir", required=True, help="a folder with one folder per class, or the name of a set: traffic_lights")
    add("--learning_rate", type=_learning_rates, default=(0.01,), help="one, or several with commas: 0.005,0.5,1.0")
    add("--how_many_training_steps", type=int, default=default.steps)
    add("--testing_percentage", type=int, default=default.testing_percentage)
    add("--validation_percentage", type=int, default=default.validation_percentage)
    add("--eval_step_interval", type=int, default=default.eval_step_interval)
    add("--train_batch_size", type=int, default=default.train_batch_size)
    add("--test_batch_size", type=int, default=default.test_batch_size)
    add("--validation_batch_size", type=int, default=default.validation_batch_size)
    backbones = [row.name for row in catalog.BACKBONES]
    add("--architecture", default=default.backbone, help=f"the backbone: {', '.join(backbones)}")
    add("--device", choices=specs.DEVICES, default=default.device)
    add("--seed", type=int, default=default.seed)
    add(
        "--split_key",
        choices=("name", "typed_path"),
        default="name",
        help="what decides the split of a photo: its class and name, or its path as typed, as in retrain.py",
    )
    _add_json(parser)
    parser.set_defaults(command=_retrain)


def _learning_rates(text: str) -> tuple[float, ...]:
    try:
        return tuple(float(part) for part in text.split(","))
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is no number and no list like 0.005,0.5,1.0") from None


def _retrain(options: argparse.Namespace, lab: settings.Settings) -> int:
    from engine import photos

    spec = specs.DEFAULT_RETRAIN._replace(
        backbone=options.architecture,
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
    )
    if faults := specs.faults(spec):
        raise SpecError(" ".join(faults))
    scan = _scan(options.image_dir, lab)
    if faults := photos.faults(scan):
        raise PhotosError(" ".join(faults))
    dataset = photos.split(scan, spec.validation_percentage, spec.testing_percentage, options.split_key)
    for remark in photos.remarks(scan, dataset):
        print(remark, file=sys.stderr)
    _need(lab, catalog.backbone(spec.backbone).asset)
    return _carry_out(options, lab, spec, dataset, _report, _print_results)


def _carry_out(
    options: argparse.Namespace,
    lab: settings.Settings,
    spec: specs.Spec,
    dataset: "Dataset | None",
    report: Callable[["Run"], dict[str, Any]],
    show: Callable[["Run"], None],
) -> int:
    """Start a run, follow it to its end, and say what came of it: as a report in JSON, or shown as lines."""
    from engine.queue import Queue
    from engine.runs import open_run

    queue = Queue(lab.home, lab.worker_python, options.worker_module)
    run = open_run(lab.home, queue.start(spec, dataset))
    print(f"Run {run.id} in {run.folder.path}", file=sys.stderr)
    _follow(run, queue)
    if options.json:
        _print_json(report(run))
    else:
        show(run)
    _print_failure(run)
    return EXIT_CODES[run.state]


def _scan(image_dir: str, lab: settings.Settings) -> "Scan":
    from engine import photos

    root, title = Path(image_dir).expanduser(), ""
    if not root.is_dir():
        source = next((each for each in photos.sources(lab) if each.key == image_dir), None)
        if source is None:
            raise PhotosError(
                f"There is no folder {image_dir}. Give a folder that holds one folder of photos per class, or a set: "
                f"{', '.join(each.key for each in photos.sources(lab))}."
            )
        root, title = source.root or _need(lab, source.key), source.title
    with _bar() as bar:
        # No check against LAB_DATA and no bounds for links: this is the user's own shell, not a visitor's browser.
        return photos.scan(
            root,
            title or root.resolve().name,
            lambda done, total: bar.draw("Looking", done, total, f"{done:,} of {total:,} photos"),
            typed=image_dir,
            roots=(Path("/"),),
        )


def _need(lab: settings.Settings, name: str) -> Path:
    """Where the asset lies, fetched behind a bar where it is missing. Raises AssetError."""
    row = assets.asset(name)
    with _bar() as bar:
        return assets.fetch_asset(
            lab.home,
            row,
            lambda done, total: bar.draw("Fetching", done, total, f"{assets.megabytes(done)} of {row.title}"),
        )


def _follow(run: "Run", queue: "Queue") -> None:
    """Draw the run's progress until it ends. Ctrl-C cancels it and waits on; a second one leaves it to its end."""
    with _bar() as bar:
        while True:
            try:
                if not run.refresh().is_active:
                    break
                _draw(bar, run, queue)
                time.sleep(0.2)
            except KeyboardInterrupt:
                if run.cancel_asked:
                    raise
                bar.draw("Cancelling", 0, 0)
                queue.cancel(run.id)
        if run.state == events.DONE:
            bar.draw("Done", 1, 1, f"{run.seconds or 0:.1f} s")


def _draw(bar: "_Bar", run: "Run", queue: "Queue") -> None:
    if run.cancel_asked:  # here, or on a page
        bar.draw("Cancelling", 0, 0)
    elif run.state == events.QUEUED:
        ahead = queue.ahead(run.id)
        if ahead:
            bar.draw("Waiting", 0, 0, f"{len(ahead)} before this one, first {ahead[0]}")
        else:
            bar.draw("Starting", 0, 0)
    elif run.story.stages:
        stage = run.story.stages[-1]
        rest = ""
        if stage.total and stage.done:
            left = run.seconds_left()
            if left is None:
                left = (run.story.last_t - stage.began) * (stage.total - stage.done) / stage.done
            rest = f"{stage.done:,} of {stage.total:,}, {left:.0f} s left"
        bar.draw(stage.name, stage.done, stage.total, rest)


def _report(run: "Run") -> dict[str, Any]:
    """A run as one flat-ish record for programs; None where something is not known (yet)."""
    from engine import curves

    story, result = run.story, run.story.result
    rows = {row.lane: row for row in curves.lane_rows(story, run.lanes)}
    lanes = []
    for lane in run.lanes:
        row = rows.get(lane)
        plateau = row.plateau if row else None
        lanes.append(
            {
                "learning_rate": float(lane),
                "test_accuracy": row.test_accuracy if row else None,
                "test_n": row.test_n if row else None,
                "best_validation_accuracy": row.best_validation_accuracy if row else None,
                "best_step": row.best_step if row else None,
                "plateau_step": plateau.step if plateau else None,
                "plateau_seconds": plateau.seconds if plateau else None,
                "diverged": lane in story.diverged or (row is not None and row.diverged),
            }
        )
    planned = [photo.split for photo in run.dataset.photos]
    return {
        "run": run.folder.path,
        "state": run.state,
        "seconds": {stage.name: round((stage.ended or story.last_t) - stage.began, 3) for stage in story.stages},
        "images": result.images if result else len(planned),
        "splits": {
            split: getattr(result, split) if result else planned.count(split)
            for split in ("training", "validation", "testing")
        },
        "backbone": run.spec.backbone,
        "lanes": lanes,
        "race_seconds": result.race_seconds if result else None,
        "kept": float(result.kept) if result else None,
        "error": story.error.message if story.error else None,
    }


def _print_results(run: "Run") -> None:
    from engine import curves

    for row in curves.lane_rows(run.story, run.lanes):
        plateau = f"flat from step {row.plateau.step:,}, {row.plateau.seconds:.1f} s" if row.plateau else "never flat"
        print(
            f"{'*' if row.kept else ' '} learning rate {row.lane:<8} test accuracy {row.test_accuracy:.1%}, "
            f"best validation {row.best_validation_accuracy:.1%} at step {row.best_step:,}, "
            f"{'diverged' if row.diverged else plateau}"
        )
        if row.kept:
            final = f"Final test accuracy = {row.test_accuracy:.1%} (N={row.test_n})"
    if run.state == events.DONE:
        print(final)


def _print_failure(run: "Run") -> None:
    if run.state == events.LOST:
        print("The worker ended without a word: killed for memory, or a power loss. Its log ends:", file=sys.stderr)
        print(run.log_tail(10), file=sys.stderr)
    elif run.story.error:
        print(f"{run.story.error.message} {run.story.error.hint}", file=sys.stderr)
    elif run.state == events.CANCELLED:
        print("Cancelled. What it had is kept.", file=sys.stderr)


# --- mnist -----------------------------------------------------------------------------------------------------------


def _add_mnist(parser: argparse.ArgumentParser) -> None:
    default = specs.DEFAULT_MNIST
    names = ", ".join(row.name for row in catalog.NETWORKS)
    add = parser.add_argument
    add("--networks", default=",".join(specs.lanes(default)), help=f"with commas, of: {names}")
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
    add("--device", choices=specs.DEVICES, default=default.device)
    add("--seed", type=int, default=default.seed)
    _add_json(parser)
    parser.set_defaults(command=_mnist)


def _mnist(options: argparse.Namespace, lab: settings.Settings) -> int:
    spec = specs.MnistSpec(
        data=options.data,
        networks=tuple(_networks(options)),
        training_images=options.training_images,
        epochs=options.epochs,
        seed=options.seed,
        device=options.device,
    )
    if faults := specs.faults(spec):
        raise SpecError(" ".join(faults))
    if spec.data in [row.name for row in catalog.DIGIT_SETS]:
        _need(lab, spec.data)
    return _carry_out(options, lab, spec, None, _report_mnist, _print_networks)


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


def _report_mnist(run: "Run") -> dict[str, Any]:
    """A comparison as one record for programs; a network is listed once it was tested."""
    story = run.story
    networks = []
    for lane in run.lanes:
        if result := story.network_results.get(lane):
            exported = story.networks_exported.get(lane)
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


def _print_networks(run: "Run") -> None:
    from engine.metrics import wilson

    titles = run.titles
    width = max(map(len, titles.values()))
    for result in sorted(run.story.network_results.values(), key=lambda each: -each.test_accuracy):
        low, high = wilson(round(result.test_accuracy * result.test_n), result.test_n)
        print(
            f"{titles[result.lane]:{width}}  test accuracy {result.test_accuracy:.2%} ({low:.2%} to {high:.2%}, "
            f"N={result.test_n:,}), {result.train_seconds:.1f} s for {result.epochs:g} epochs, "
            f"{result.parameters:,} parameters"
        )


# --- label_image -----------------------------------------------------------------------------------------------------


def _add_label_image(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--model", required=True, help="a run's id or folder, or a backbone with its ImageNet labels")
    parser.add_argument("--image", required=True, help="a JPEG, PNG, WEBP, BMP or GIF file")
    parser.add_argument("--top", type=int, default=5, help="how many labels")
    _add_json(parser)
    parser.set_defaults(command=_label_image)


def _label_image(options: argparse.Namespace, lab: settings.Settings) -> int:
    from engine.classifier import Classifier
    from engine.contract.run_folder import RunFolder
    from engine.runs import open_run

    home, model = lab.home, options.model
    row = next((each for each in catalog.BACKBONES if each.name == model), None)
    if row:
        _need(lab, row.asset)
        _need(lab, "imagenet_names")
    else:
        if Path(model, "spec.json").is_file():
            folder = RunFolder(model)
            home, model = folder.home, folder.id
        open_run(home, model)
    try:
        image = Path(options.image).expanduser().read_bytes()
    except OSError as error:
        raise PhotosError(f"{options.image} cannot be read: {error.strerror}. Give a photo's path.") from error
    with contextlib.closing(Classifier(home, lab.worker_python)) as classifier:
        answer = classifier.classify(model, image, options.top)
    if options.json:
        _print_json(
            {
                "model": model,
                "image": options.image,
                "top": [{"label": label, "probability": probability} for label, probability in answer.top],
                "first_seconds": answer.first_seconds,
                "runtime": answer.runtime,
                "device": answer.device,
            }
        )
        return DONE
    # As label_image.py prints it; it times the first call alone.
    print(f"\nEvaluation time (1-image): {answer.first_seconds:.3f}s\n")
    for label, probability in answer.top:
        print(f"{label} (score={probability:.5f})")
    return DONE


# --- runs ------------------------------------------------------------------------------------------------------------


def _add_runs(parser: argparse.ArgumentParser) -> None:
    _add_json(parser)
    parser.set_defaults(command=_list_runs)
    actions = parser.add_subparsers(metavar="ACTION")
    for name, action, text in (
        ("delete", _delete_run, "remove a run and its files"),
        ("cancel", _cancel_run, "stop a run; what it has is kept"),
    ):
        one = actions.add_parser(name, help=text)
        one.add_argument("id", help="as `runs` lists it")
        # Not set to False here, or `runs --json delete` would forget what was said before.
        one.add_argument(
            "--json", action="store_true", default=argparse.SUPPRESS, help="print one JSON object on stdout"
        )
        one.set_defaults(command=action)


def _list_runs(options: argparse.Namespace, lab: settings.Settings) -> int:
    from engine.runs import list_runs

    found = list_runs(lab.home)
    if options.json:
        keys = ("id", "title", "state", "started", "seconds")
        _print_json({"runs": [{key: getattr(run, key) for key in keys} for run in found]})
        return DONE
    for run in found:
        when = time.strftime("%Y-%m-%d %H:%M", time.localtime(run.started))
        print(f"{run.id}  {run.state:9}  {when}  {run.title}")
    if not found:
        print("No runs yet. Start one with: python -m engine retrain --image_dir traffic_lights", file=sys.stderr)
    return DONE


def _delete_run(options: argparse.Namespace, lab: settings.Settings) -> int:
    from engine import runs

    runs.delete(lab.home, options.id)
    return _said(options, {"id": options.id, "deleted": True}, f"Deleted {options.id}.")


def _cancel_run(options: argparse.Namespace, lab: settings.Settings) -> int:
    from engine.queue import Queue
    from engine.runs import open_run

    run = open_run(lab.home, options.id)
    if not run.is_active:
        raise EngineError(f"Run {run.id} is {run.state} already; only a waiting or running one can be cancelled.")
    Queue(lab.home, lab.worker_python).cancel(run.id)
    while run.refresh().is_active:  # stay, because after a grace period this process is the one that kills it
        time.sleep(0.1)
    return _said(options, {"id": run.id, "state": run.state}, f"{run.id} is {run.state}.")


def _said(options: argparse.Namespace, record: dict[str, Any], sentence: str) -> int:
    if options.json:
        _print_json(record)
    else:
        print(sentence)
    return DONE


# --- assets ----------------------------------------------------------------------------------------------------------


def _add_assets(parser: argparse.ArgumentParser) -> None:
    names = ", ".join(row.name for row in assets.ASSETS)
    parser.add_argument(
        "names", nargs="*", metavar="NAME", help=f"{names}; all but fashion_mnist and flower_photos where none is named"
    )
    parser.add_argument("--list", action="store_true", help="say what there is, fetch nothing")
    _add_json(parser)
    parser.set_defaults(command=_assets)


def _assets(options: argparse.Namespace, lab: settings.Settings) -> int:
    names = options.names or list(assets.EMBEDDED)
    try:
        rows = [assets.asset(name) for name in names]
    except AssetError as error:
        raise SpecError(str(error)) from error  # a wrong word, not a failure to fetch
    missing = [] if options.list else [row for row in rows if assets.find_asset(lab.home, row) is None]
    failures = _fetch(lab, missing) if missing else []
    if options.list and not options.names:
        rows = list(assets.ASSETS)
    if options.json:
        _print_json({"assets": [_describe(lab, row) for row in rows], "failures": failures})
    elif missing or options.list:
        for row in rows:
            where = assets.find_asset(lab.home, row)
            size = assets.megabytes(row.kept_bytes if where else row.sources[0].bytes)
            print(f"{row.name:20} {'here' if where else 'not here':9} {size:>9}  {row.title} ({row.licence})")
            if source := assets.source_of(lab.home, row):
                print(f"{'':42}from {source}")
    for failure in failures:
        print(failure, file=sys.stderr)
    return FAILED if failures else DONE


def _describe(lab: settings.Settings, row: assets.Asset) -> dict:
    path = assets.find_asset(lab.home, row)
    return {
        "name": row.name,
        "title": row.title,
        "path": str(path) if path else None,
        "bytes": row.kept_bytes,
        "sha256": row.sha256,
        "licence": row.licence,
        "attribution": row.attribution,
        "sources": [source.title for source in row.sources],
        "source": assets.source_of(lab.home, row),
    }


def _fetch(lab: settings.Settings, rows: list[assets.Asset]) -> list[str]:
    """Fetch two at a time behind one bar; return what went wrong."""
    import concurrent.futures
    import threading

    stop = threading.Event()
    arrived = {row.name: 0 for row in rows}
    total = sum(row.sources[0].bytes for row in rows)
    failures = []

    def fetch(row: assets.Asset) -> None:
        def progress(done: int, of: int) -> None:
            if stop.is_set():
                raise KeyboardInterrupt
            # Another source of the same bytes may be larger or smaller than the first.
            arrived[row.name] = row.sources[0].bytes * done // of

        assets.fetch_asset(lab.home, row, progress)
        arrived[row.name] = row.sources[0].bytes

    with _bar() as bar, concurrent.futures.ThreadPoolExecutor(2) as pool:
        jobs = [pool.submit(fetch, row) for row in rows]
        try:
            while not all(job.done() for job in jobs):
                done = sum(arrived.values())
                bar.draw("Fetching", done, total, f"{assets.megabytes(done)} of {assets.megabytes(total)}")
                time.sleep(0.1)
        except KeyboardInterrupt:
            stop.set()
            pool.shutdown(cancel_futures=True)
            raise
        for job in jobs:
            if error := job.exception():
                failures.append(str(error))
        bar.draw("Fetching", sum(arrived.values()), total, f"{assets.megabytes(sum(arrived.values()))}")
    return failures


# --- progress on stderr ----------------------------------------------------------------------------------------------


class _Bar:
    """One line that redraws itself on a terminal; elsewhere a plain line whenever a quarter is done."""

    def __init__(self) -> None:
        self.live = sys.stderr.isatty()
        self.said = ("", -1)
        self.title = ""
        self.width = 0

    def draw(self, title: str, done: int, total: int, rest: str = "") -> None:
        """`total` 0: it cannot be counted."""
        share = min(done / total, 1.0) if total else 0.0
        if self.live:
            if title != self.title:
                self.close()
                self.title = title
            filled = int(share * 24)
            bar = f"{'█' * filled}{'░' * (24 - filled)} {share:4.0%}  " if total else ""
            line = f"{title:12} {bar}{rest}"[: shutil.get_terminal_size().columns - 1]
            print("\r" + line.ljust(self.width), end="", file=sys.stderr, flush=True)
            self.width = len(line)
        elif (title, int(share * 4)) != self.said:
            self.said = (title, int(share * 4))
            print(f"{title} {f'{share:.0%} ' if total else ''}{rest}".rstrip(), file=sys.stderr, flush=True)

    def close(self) -> None:
        if self.live and self.width:
            print(file=sys.stderr)
            self.width = 0


@contextlib.contextmanager
def _bar() -> Iterator[_Bar]:
    bar = _Bar()
    try:
        yield bar
    finally:
        bar.close()
