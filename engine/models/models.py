"""The models that can be asked about a picture: what there is, what each one is, and uploaded ones added and deleted.

A model is named by a key (engine/contract/models.py), which is what pages put into their addresses. Listing reads a few
small files of each model and nothing else, and remembers what it read until the file changes.
"""

import functools
import hashlib
import json
import os
import re
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from engine import assets, kinds, worker_programs
from engine.contract import catalog, layers, specs
from engine.contract import kinds as contract_kinds
from engine.contract import models as keys
from engine.contract.run_folder import RunFolder, read_json, write_json
from engine.errors import EngineError, ModelNotFound, ModelRefused, WorkerStartError
from engine.settings import Settings

FILE_LIMIT, LABELS_LIMIT = 256 << 20, 4 << 20  # bytes, as engine/worker/formats/graphs.py and uploads.py have them
CHECKING = 240.0  # seconds: for frozen graphs and Keras archives TensorFlow is loaded
# What can be said of an uploaded model: its name for people, and how a picture goes in, see contract/models.py.
GIVEN = (
    "title", "input_layer", "output_layer", "input_height", "input_width", "input_mean", "input_std", "preprocessing"
)  # fmt: skip

RUNS, DIGITS, PRETRAINED, UPLOADED = "Runs", "Digits", "Pretrained", "Uploaded"
GROUPS = (RUNS, DIGITS, PRETRAINED, UPLOADED)


@dataclass(frozen=True)
class Model:
    key: str
    title: str  # "Traffic lights · MobileNet v2 · lr 0.01"
    group: str  # one of GROUPS
    needs: str = ""  # the asset that has to be fetched before it can answer; "" where all is here
    run: str = ""  # the run's id; "" of other models
    lane: str = ""  # of a run: the learning rate or the network; "" of other models
    is_kept: bool = True  # of a run: the lane that was exported; the others answer from their weights alone


@dataclass(frozen=True)
class ModelCard:
    """What a model is, and what a picture must go through before it sees it."""

    input_layer: str
    height: int  # pixels
    width: int
    mean: tuple[float, ...]  # subtracted from RGB 0..255: one number for each colour, or one for all
    std: tuple[float, ...]  # then divided by, likewise
    preprocessing: str  # catalog.PILLOW or catalog.TENSORFLOW
    decoder: str  # in words
    resize: str  # in words
    labels: list[str]
    parameters: int | None  # None where only the file itself would tell
    bytes: int  # of the files that answer
    source: str  # where it came from, for people
    licence: str  # "" where nobody said
    by_guess: str  # a sentence about what is not known and was guessed; "" where everything is known
    is_digit: bool  # takes 28 x 28 gray pictures of digits, centred as MNIST's


def list_models(settings: Settings) -> list[Model]:
    """All of them, by group in the order of GROUPS: runs newest first, the kept lane of each before its others."""
    backbones = _backbones(settings)
    of_runs = [model for folder in _finished(settings) for model in _of_run(settings, folder, backbones)]
    of_runs.sort(key=lambda model: model.group != RUNS)  # stable: otherwise newest first
    pretrained = [
        _pretrained(settings, row)
        for row in backbones.values()
        if catalog.is_classifier(row) and (row not in catalog.ORIGINALS or assets.find_backbone(settings.home, row))
    ]
    uploaded = [_uploaded(settings, name) for name in keys.all_uploaded(settings.home)]
    return of_runs + pretrained + sorted(uploaded, key=lambda model: model.title)


def find(settings: Settings, key: str) -> Model:
    """Raises ModelNotFound with a sentence."""
    place = _place(settings, key)
    if place.kind == keys.BACKBONE:
        row = catalog.backbone(place.name, settings.home)
        if not catalog.is_classifier(row):
            raise ModelNotFound(f"{row.title} has no names for what it was trained on; retrain it on photos first.")
        return _pretrained(settings, row)
    if place.kind == keys.UPLOADED:
        try:
            return _uploaded(settings, place.name)
        except KeyError:
            raise ModelNotFound(f"There is no uploaded model {place.name!r}. It may have been deleted.") from None
    folder = settings.home.run(place.name)
    lanes = list(_of_run(settings, folder, _backbones(settings))) if _can_answer(folder) else []
    if not lanes:
        raise ModelNotFound(f"There is no finished model {place.name!r}. It may have been deleted.")
    for model in lanes:
        if model.key == key or (place.lane and model.lane == place.lane):
            return model
    known = ", ".join(model.lane for model in lanes)
    if not place.lane:
        raise ModelNotFound(f"Run {place.name} has several networks; name one of them: {place.name}:{lanes[0].lane}.")
    raise ModelNotFound(f"Run {place.name} has no lane {place.lane!r}; it has {known}.")


def card(settings: Settings, key: str) -> ModelCard:
    """Raises ModelNotFound."""
    model, place = find(settings, key), _place(settings, key)
    try:
        if place.kind == keys.BACKBONE:
            return _card_of_backbone(settings, catalog.backbone(place.name, settings.home))
        if place.kind == keys.UPLOADED:
            return _card_of_uploaded(settings, place.name)
        folder = settings.home.run(place.name)
        return _card_of_network(folder, model) if model.group == DIGITS else _card_of_lane(settings, folder, model)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ModelNotFound(
            f"What is kept of {model.title} cannot be read ({error}). It may have been deleted."
        ) from error


def delete(settings: Settings, key: str) -> None:
    """Remove an uploaded model. Raises ModelNotFound, also for models of other kinds."""
    place = _place(settings, key)
    find(settings, key)
    if place.kind != keys.UPLOADED:
        raise ModelNotFound(f"{key} is no uploaded model. Runs are deleted on the page Runs.")
    folder = Path(keys.folder(settings.home, place.name))
    grave = folder.with_name(f".deleted-{folder.name}")  # what is half deleted no longer looks like a model
    shutil.rmtree(grave, ignore_errors=True)
    os.rename(folder, grave)
    shutil.rmtree(grave)


def _place(settings: Settings, key: str) -> keys.Place:
    try:
        return keys.place(settings.home, key)
    except KeyError:
        raise ModelNotFound(f"There is no model {key!r}. Choose another one.") from None


# --- runs ------------------------------------------------------------------------------------------------------------


def _finished(settings: Settings) -> list[RunFolder]:
    """Folders of the runs that have a model, newest first by ticket."""
    try:
        names = os.listdir(settings.home.runs)
    except FileNotFoundError:
        return []
    folders = [settings.home.run(name) for name in names if not name.startswith(".")]
    found = [folder for folder in folders if _can_answer(folder)]
    return sorted(found, key=lambda folder: (_remembered(_ticket, folder.events) or 0, folder.id), reverse=True)


def _can_answer(folder: RunFolder) -> bool:
    """Whether its export is through; the contract is written early, so it does not say so alone."""
    if not (os.path.isfile(folder.contract) and os.path.isfile(folder.spec)):
        return False
    return any(os.path.exists(path) for path in (folder.tflite, folder.networks, folder.graph))


def _of_run(settings: Settings, folder: RunFolder, backbones: dict[str, catalog.Backbone]) -> Iterator[Model]:
    """Its lanes, the kept one first, or its networks; nothing where its files cannot be read."""
    spec, contract = _remembered(specs.read, folder.spec), _remembered(read_json, folder.contract)
    photos = _remembered(_title_of_photos, folder.dataset) or "unknown photos"
    try:
        for each in kinds.named(contract_kinds.of(spec)).models(folder, spec, contract, photos):
            row = backbones.get(each.needs)
            yield Model(
                key=folder.id if each.is_kept and not each.is_digit else f"{folder.id}:{each.lane}",
                title=each.title,
                group=DIGITS if each.is_digit else RUNS,
                needs=row.asset if row and not assets.find_backbone(settings.home, row) else "",
                run=folder.id,
                lane=each.lane,
                is_kept=each.is_kept,
            )
    except Exception:  # a damaged run, or one from elsewhere, must not hide the others
        return


def _backbones(settings: Settings) -> dict[str, catalog.Backbone]:
    rows = catalog.BACKBONES + catalog.ORIGINALS + catalog.added_backbones(settings.home)
    return {row.name: row for row in rows}


def _card_of_lane(settings: Settings, folder: RunFolder, model: Model) -> ModelCard:
    contract = read_json(folder.contract)
    labels = [str(label) for label in contract["labels"]]
    row = _backbones(settings).get(contract["backbone"])
    frozen = row.parameters if row else 0
    size = os.path.getsize(folder.tflite if os.path.isfile(folder.tflite) else folder.graph)
    if not model.is_kept and os.path.isfile(own := keys.lane_tflite(folder, model.lane)):
        size = os.path.getsize(own)
    elif not model.is_kept:
        size = os.path.getsize(keys.lane_file(folder, model.lane))
        if row and (weights := assets.find_backbone(settings.home, row)):
            size += weights.stat().st_size
    photos = _remembered(_title_of_photos, folder.dataset) or "unknown photos"
    return ModelCard(
        input_layer=row.input_layer if row else "input",
        height=contract["input"]["height"],
        width=contract["input"]["width"],
        mean=tuple(contract["mean"]),
        std=tuple(contract["std"]),
        preprocessing=contract.get("preprocessing", catalog.PILLOW),
        decoder=contract["decoder"],
        resize=contract["resize"],
        labels=labels,
        parameters=frozen + (row.width + 1) * len(labels) if row and frozen else None,
        bytes=size,
        source=f"Run {folder.id}, learned from {photos}; backbone: {contract['backbone_source']}",
        licence=contract["backbone_licence"],
        by_guess="",
        is_digit=False,
    )


def _card_of_network(folder: RunFolder, model: Model) -> ModelCard:
    contract = read_json(folder.contract)
    network = next(each for each in contract["networks"] if each["name"] == model.lane)
    return ModelCard(
        input_layer="images",
        height=contract["input"]["height"],
        width=contract["input"]["width"],
        mean=(0.0,),
        std=(255.0,),
        preprocessing=catalog.PILLOW,
        decoder="gray, 0 paper, 255 ink",
        resize=contract["centring"],
        labels=[str(label) for label in contract["labels"]],
        parameters=layers.parameters(layers.costs(layers.read(network["layers"]))),
        bytes=os.path.getsize(folder.network_tflite(model.lane)),
        source=f"Run {folder.id}; {network['source']}",
        licence="",
        by_guess="",
        is_digit=True,
    )


def _ticket(path: str) -> int:
    """The number that a run drew when it was queued: its first event."""
    with open(path, encoding="utf-8") as file:
        return int(json.loads(file.readline()).get("ticket", 0))


def _title_of_photos(path: str) -> str:
    return str(read_json(path)["title"])


def _remembered(read: Any, path: str) -> Any:
    """What `read` makes of a file, read once for as long as the file stays as it is; None where it cannot be read."""
    try:
        stamp = os.stat(path)
        return _read_once(read, path, stamp.st_mtime_ns, stamp.st_ino)
    except Exception:  # whatever a damaged file makes of it, the models of other runs are still listed
        return None


@functools.lru_cache(maxsize=4096)
def _read_once(read: Any, path: str, changed: int, inode: int) -> Any:
    return read(path)


# --- pretrained ------------------------------------------------------------------------------------------------------


def _pretrained(settings: Settings, row: catalog.Backbone) -> Model:
    needs = "" if assets.find_backbone(settings.home, row) else row.asset
    labels = catalog.labels_file(row)
    if (
        not needs
        and labels == catalog.IMAGENET_NAMES
        and not os.path.isfile(os.path.join(settings.home.assets, labels))
    ):
        needs = "imagenet_names"
    return Model(row.name, row.title, PRETRAINED, needs)


def _card_of_backbone(settings: Settings, row: catalog.Backbone) -> ModelCard:
    weights = assets.find_backbone(settings.home, row)
    try:
        labels = catalog.answer_labels(settings.home, row)
    except FileNotFoundError:
        labels = []
    return ModelCard(
        input_layer=row.input_layer,
        height=row.size,
        width=row.size,
        mean=row.mean,
        std=row.std,
        preprocessing=row.preprocessing,
        decoder=catalog.DECODER[row.preprocessing],
        resize=catalog.KERNEL[row.preprocessing],
        labels=labels,
        parameters=row.parameters + (row.width + 1) * len(labels) if row.parameters and labels else None,
        bytes=weights.stat().st_size if weights else round(row.megabytes * 1e6),
        source=row.source,
        licence=row.licence,
        by_guess="",
        is_digit=False,
    )


# --- uploaded --------------------------------------------------------------------------------------------------------


def _uploaded(settings: Settings, name: str) -> Model:
    """Raises KeyError."""
    return Model(keys.PREFIX + name, keys.uploaded(settings.home, name).title, UPLOADED)


def _card_of_uploaded(settings: Settings, name: str) -> ModelCard:
    found = keys.uploaded(settings.home, name)
    return ModelCard(
        input_layer=found.input_layer,
        height=found.input_height,
        width=found.input_width,
        mean=(found.input_mean,),
        std=(found.input_std,),
        preprocessing=found.preprocessing,
        decoder=catalog.DECODER[found.preprocessing],
        resize=catalog.KERNEL[found.preprocessing],
        labels=keys.read_labels(os.path.join(keys.folder(settings.home, name), "labels.txt")),
        parameters=found.parameters,
        bytes=found.bytes,
        source=f"Uploaded as {found.file}",
        licence="",
        by_guess=found.by_guess,
        is_digit=False,
    )


def add(settings: Settings, file_name: str, data: bytes, labels: bytes | None, given: dict[str, Any]) -> Model:
    """Keep an uploaded model, once a process of its own has checked and called it.

    `file_name` decides nothing: what it is, a frozen graph, a TFLite file or a Keras archive, shows in `data`.
    `labels`: a text with one label a line; None: outputs are called by their numbers. `given`: any of GIVEN; what is
    left out or None is found in the file or guessed, and the card's `by_guess` says so. The same file of that
    name once more replaces what was said of it before. Raises ModelRefused with a sentence, and WorkerStartError.
    """
    if len(data) > FILE_LIMIT:
        raise ModelRefused(f"{file_name[:200]} has more than {FILE_LIMIT // 1_000_000:,} MB. Give a smaller file.")
    name = Path(file_name.replace("\\", "/")).name[:200] or "model"
    identity = f"{_word(Path(name).stem)}-{hashlib.sha256(data).hexdigest()[:8]}"
    try:
        os.makedirs(settings.home.models, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".part-", dir=settings.home.models) as workplace:
            folder = Path(workplace, identity)
            folder.mkdir()
            Path(folder, "upload").write_bytes(data)
            if labels is not None:
                Path(folder, "labels.txt").write_bytes(labels)
            told = _checked(settings, folder, name, given)
            write_json(str(folder / "model.json"), told)
            target = Path(keys.folder(settings.home, identity))
            if target.exists():
                os.rename(target, Path(workplace, "replaced"))
            os.rename(folder, target)
    except OSError as error:
        raise ModelRefused(
            f"{name} cannot be kept in {settings.home.models}: {error.strerror}. Free some disk space and try again."
        ) from error
    return _uploaded(settings, identity)


def _checked(settings: Settings, folder: Path, name: str, given: dict[str, Any]) -> dict[str, Any]:
    """What the checking process found, an Uploaded as JSON. Raises ModelRefused and WorkerStartError."""
    question = {"file": name, "given": {field: given[field] for field in GIVEN if given.get(field) is not None}}
    try:
        told = worker_programs.ask(
            settings.worker_python,
            "engine.worker.classify.uploads",
            [str(folder)],
            question,
            CHECKING,
            refused=ModelRefused,
        )
    except (WorkerStartError, ModelRefused):
        raise
    except EngineError as error:  # it crashed over the file, ran out of memory or of time
        raise ModelRefused(f"{name} is not kept. {error}") from error
    return dict(told["model"])


def _word(text: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")[:40].strip("-") or "model"
