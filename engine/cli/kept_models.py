"""python -m engine models: what can be asked about a picture; uploaded models added and deleted."""

import argparse
import dataclasses
import itertools
from pathlib import Path

from engine import settings
from engine.cli.answers import DONE, add_action, add_json, print_json, said
from engine.errors import ModelRefused


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_json(parser)
    parser.set_defaults(command=_list)
    actions = parser.add_subparsers(metavar="ACTION")
    one = add_action(actions, "add", _add, "check a frozen graph, a TFLite file or a Keras archive, and keep it")
    one.add_argument("file", help=".pb, .tflite or .keras; its content decides")
    one.add_argument("--labels", help="a file with one label a line; without it, outputs get numbers")
    one.add_argument("--title", help="its name for people; the file's by default")
    one.add_argument("--input_layer", help="where the picture goes in; this and what follows is found if not said")
    one.add_argument("--output_layer")
    one.add_argument("--input_height", type=int, help="pixels")
    one.add_argument("--input_width", type=int, help="pixels")
    one.add_argument("--input_mean", type=float, help="subtracted from RGB 0..255")
    one.add_argument("--input_std", type=float, help="then divided by")
    one.add_argument("--preprocessing", choices=("pillow", "tensorflow"), help="who decodes and resizes")
    one = add_action(actions, "delete", _delete, "remove a model that was added")
    one.add_argument("key", help="as `models` lists it: model:...")


def _list(options: argparse.Namespace, lab: settings.Settings) -> int:
    from engine.models import models

    found = models.list_models(lab)
    if options.json:
        print_json({"models": [dataclasses.asdict(model) for model in found]})
        return DONE
    width = max((len(model.key) for model in found), default=0)
    for group, of_group in itertools.groupby(found, key=lambda model: model.group):
        print(group)
        for model in of_group:
            remark = f"  (needs: python -m engine assets {model.needs})" if model.needs else ""
            print(f"  {model.key:{width}}  {model.title}{remark}")
    return DONE


def _add(options: argparse.Namespace, lab: settings.Settings) -> int:
    from engine.models import models

    given = {name: getattr(options, name) for name in models.GIVEN}
    labels = _read(options.labels, models.LABELS_LIMIT) if options.labels else None
    model = models.add(lab, Path(options.file).name, _read(options.file, models.FILE_LIMIT), labels, given)
    by_guess = models.card(lab, model.key).by_guess
    record = {**dataclasses.asdict(model), "by_guess": by_guess}
    return said(options, record, f"{model.key}  {model.title}\n{by_guess}".rstrip())


def _delete(options: argparse.Namespace, lab: settings.Settings) -> int:
    from engine.models import models

    models.delete(lab, options.key)
    return said(options, {"key": options.key, "deleted": True}, f"Deleted {options.key}.")


def _read(name: str, limit: int) -> bytes:
    """Raises ModelRefused."""
    try:
        with Path(name).expanduser().open("rb") as file:
            data = file.read(limit + 1)
    except OSError as error:
        raise ModelRefused(f"{name} cannot be read: {error.strerror}. Give another file.") from error
    if len(data) > limit:
        raise ModelRefused(f"{name} is larger than {limit // 1_000_000:,} MB. Give a smaller file.")
    return data
