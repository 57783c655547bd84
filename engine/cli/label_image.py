"""python -m engine label_image: what a model says about a picture, in label_image.py's words.

Its flags and its default files are those of TensorFlow for Poets' label_image.py, except that a layer, a size, a mean
or a deviation that is not said is found in the graph.
"""

import argparse
import csv
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from engine import settings
from engine.cli import models
from engine.cli.answers import DONE, FAILED, add_json, print_json
from engine.errors import ClassifierError, EngineError, PhotosError, SpecError

if TYPE_CHECKING:
    from engine.models.classifier import Answer

REPEATS = 5  # calls after the first; their median is what a call usually takes


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("--image", required=True, nargs="+", action="extend", help="photos, or folders of them")
    models.add_flags(parser)
    add("--top", type=int, default=5, help="how many labels")
    add("--csv", metavar="FILE", help="write image, rank, label and score there")
    add_json(parser)
    parser.set_defaults(command=_label_image)


def _label_image(options: argparse.Namespace, lab: settings.Settings) -> int:
    if options.top < 1:
        raise SpecError(f"--top is {options.top}; give 1 or more.")
    images = list(_images(options.image))
    answers: list[tuple[str, Answer]] = []
    failures: list[str] = []
    with models.opened(options, lab) as model:
        for image in images:
            try:
                answer = model.classify(Path(image).read_bytes(), options.top, REPEATS if options.json else 0)
            except (OSError, ClassifierError) as error:
                if len(images) == 1:
                    raise
                failures.append(f"{image}: {error}")
                print(failures[-1], file=sys.stderr)
                continue
            if not answers:
                models.say_what_was_found(options, answer)
            if not options.json:
                _print(image if len(images) > 1 else "", answer, is_first=not answers)
            answers.append((image, answer))
    if options.csv:
        _write_csv(Path(options.csv).expanduser(), answers)
    if options.json:
        records = [_record(model.name, image, answer) for image, answer in answers]
        print_json(records[0] if len(images) == 1 else {"images": records, "failures": failures})
    return FAILED if failures else DONE


def _images(given: list[str]) -> Iterator[str]:
    """Every file that was named, and every photo in the folders that were. Raises PhotosError."""
    from engine import photos

    for name in given:
        path = Path(name).expanduser()
        if path.is_dir():
            inside = [str(one) for one in sorted(path.rglob("*")) if one.is_file() and _is_photo(one)]
            if not inside:
                raise PhotosError(f"The folder {name} holds no photo. Give a photo's path, or another folder.")
            yield from inside
        else:
            try:
                size = path.stat().st_size
            except OSError as error:
                raise PhotosError(f"{name} cannot be read: {error.strerror}. Give a photo's path.") from error
            if size > photos.FILE_LIMIT:
                raise PhotosError(f"{name} is larger than {photos.FILE_LIMIT // 1_000_000} MB. Give a photo's path.")
            yield str(path)


def _is_photo(path: Path) -> bool:
    from engine import photos

    try:
        with path.open("rb") as file, photos.opened(file.read(photos.FILE_LIMIT)):
            return True
    except (OSError, PhotosError):
        return False


def _print(title: str, answer: "Answer", is_first: bool) -> None:
    """As label_image.py prints it, which times the first call alone: of several pictures, the first picture's."""
    if title:
        print(f"\n{title}", end="")
    print(f"\nEvaluation time (1-image): {answer.first_seconds if is_first else answer.seconds:.3f}s\n")
    for label, score in answer.top:
        print(f"{label} (score={score:.5f})")


def _record(model: str, image: str, answer: "Answer") -> dict[str, Any]:
    return {
        "model": model,
        "image": image,
        "runtime": answer.runtime,
        "device": answer.device,
        "load_seconds": answer.load_seconds,
        "first_seconds": answer.first_seconds,
        "p50_seconds": answer.p50_seconds,
        "input_layer": answer.input_layer,
        "output_layer": answer.output_layer,
        "input_height": answer.input_height,
        "input_width": answer.input_width,
        "input_mean": answer.input_mean,
        "input_std": answer.input_std,
        "top": [{"label": label, "score": score} for label, score in answer.top],
    }


def _write_csv(path: Path, answers: list[tuple[str, "Answer"]]) -> None:
    try:
        with path.open("w", encoding="utf-8", newline="") as file:
            table = csv.writer(file)
            table.writerow(["image", "rank", "label", "score"])
            for image, answer in answers:
                for rank, (label, score) in enumerate(answer.top, start=1):
                    table.writerow([image, rank, label, f"{score:.6f}"])
    except OSError as error:
        raise EngineError(f"{path} cannot be written: {error.strerror}.") from error
