"""What a model's answer depends on: the classifier's answers to protocol.Explain.

TensorFlow is loaded for Grad-CAM, and for models that need it anyway. Python 3.6.
"""

import io
import os
import time
from typing import Any, Callable, Dict, Iterator, List, NamedTuple, Optional, Tuple

import numpy as np
from PIL import Image

from engine.contract import catalog, protocol, specs
from engine.contract import dataset as datasets
from engine.contract import models as keys
from engine.contract.run_folder import LabHome, RunFolder, read_json
from engine.worker import backbones, images
from engine.worker.classify import gradients, models, skew
from engine.worker.features import bottlenecks
from engine.worker.formats import graphs
from engine.worker.formats.bottleneck_files import BottleneckFiles
from engine.worker.learning import calibration, tuned

TOP = 5
# How many squares, across and down, are put over a picture, and how many cells of the grid each covers either way: the
# first row that the seconds allow. A square has about a quarter of the picture's width and height, so many overlap.
SQUARES = ((13, 4), (11, 3), (9, 3), (7, 2), (5, 2), (4, 1), (3, 1))
OCCLUSION_SECONDS = 1.5
GRAY, PAPER = 128.0, 0.0  # its level, in a photo and in a picture of a digit, 0..255
BLOCK = 2000  # photos whose bottlenecks are in memory at once: 16 MB


class Learned(NamedTuple):
    folder: RunFolder
    contract: Dict[str, Any]
    row: catalog.Backbone
    lane: str


def answer(known: models.Models, request: protocol.Explain) -> protocol.Answer:
    """Raises models.Refused."""
    try:
        if isinstance(request, protocol.CheckPreprocessing):
            return protocol.PreprocessingChecked(_skew(known, request.model, request.image))
        if isinstance(request, protocol.MapOcclusion):
            return _occlusion(known, request.model, request.image, request.label)
        if isinstance(request, protocol.MapGradients):
            return _grad_cam(known, request.model, request.image, request.label)
        if isinstance(request, protocol.FindNeighbours):
            return protocol.NeighboursFound(_neighbours(known, request.model, request.image, request.photos))
        return _outlier(known, request.model, request.image)
    except images.ImageError as error:
        raise models.Refused(f"This picture cannot be used: {error}.") from error
    except gradients.NoGradients as error:
        raise models.Refused(str(error)) from error


# --- skew ------------------------------------------------------------------------------------------------------------


def _skew(known: models.Models, key: str, image: bytes) -> List[protocol.Skew]:
    model = known.get(key)
    mean, std = _learned_with(known.home, key, model)
    size = (model.input_height, model.input_width)
    rows: List[protocol.Skew] = []
    usual = -1
    for setting in skew.settings(image, model.preprocessing, size[0], size[1], mean, std):
        scores = _scores(model, setting.pixels)
        if usual < 0:
            usual = int(scores.argmax())
        top, png = _top(model.labels, scores), _png(setting.pixels)
        rows.append(protocol.Skew(setting.name, setting.is_usual, top, float(scores[usual]), png))
    return rows


def _learned_with(home: LabHome, key: str, model: models.Model) -> Tuple[Any, Any]:
    """Mean and std, three numbers each, that the network learned with, whoever subtracts them now."""
    place = keys.place(home, key)
    if place.kind == keys.BACKBONE:
        row = catalog.backbone(place.name, home)
        return row.mean, row.std
    if place.kind == keys.UPLOADED:
        return (model.input_mean,) * 3, (model.input_std,) * 3
    if _is_of_digits(home, key):
        raise models.Refused("A network for digits takes gray pictures; other settings are not tried on it.")
    contract = read_json(home.run(place.name).contract)
    return contract["mean"], contract["std"]


def _is_of_digits(home: LabHome, key: str) -> bool:
    place = keys.place(home, key)
    return place.kind == keys.RUN and os.path.isdir(home.run(place.name).networks)


# --- what the answer hangs on ----------------------------------------------------------------------------------------


def _occlusion(known: models.Models, key: str, image: bytes, label: Optional[str]) -> protocol.Heat:
    model = known.get(key)
    began = time.perf_counter()
    pixels = _pixels(model, image)
    called = time.perf_counter()
    scores = _scores(model, pixels)
    at = _number_of(model.labels, label, scores)
    asked = time.perf_counter()
    _scores(model, pixels)
    seconds = min(time.perf_counter() - asked, asked - called)
    count, side = next((each for each in SQUARES if each[0] ** 2 * seconds <= OCCLUSION_SECONDS), SQUARES[-1])
    level = PAPER if _is_of_digits(known.home, key) else GRAY
    rows, columns = [_edges(length, count + side - 1) for length in pixels.shape[:2]]
    falls = np.zeros((len(rows) - 1, len(columns) - 1))
    squares = np.zeros(falls.shape)  # that cover a cell
    for top, bottom in _squares(len(rows) - 1, side):
        for left, right in _squares(len(columns) - 1, side):
            covered = pixels.copy()
            covered[rows[top] : rows[bottom], columns[left] : columns[right]] = level
            fall = float(scores[at]) - float(_scores(model, covered)[at])
            falls[top:bottom, left:right] += fall
            squares[top:bottom, left:right] += 1
    return _heat(falls / squares, model.labels[at], scores[at], began, pixels)


def _edges(length: int, cells: int) -> List[int]:
    """Where the cells of the grid begin, and the end of the last one, in pixels; a cell has one at least."""
    return [int(edge) for edge in np.rint(np.linspace(0, length, min(cells, length) + 1))]


def _squares(cells: int, side: int) -> List[Tuple[int, int]]:
    """(first cell, the one behind the last) of every square."""
    side = min(side, cells)
    return [(first, first + side) for first in range(cells - side + 1)]


def _grad_cam(known: models.Models, key: str, image: bytes, label: Optional[str]) -> protocol.Heat:
    model = known.get(key)
    if _is_of_digits(known.home, key):
        raise models.Refused("Grad-CAM is drawn for networks of photos; the occlusion map is for digits too.")
    began = time.perf_counter()
    pixels = _pixels(model, image)
    scores = _scores(model, pixels)
    at = _number_of(model.labels, label, scores)
    files, build = _derivable(known.home, key, (model.input_height, model.input_width))
    try:
        changed, size = [os.path.getmtime(path) for path in files], sum(os.path.getsize(path) for path in files)
    except OSError as error:
        raise models.Refused(f"{os.path.basename(error.filename)} is needed for gradients and is gone.") from error
    seen = known.keep("gradients:" + key, changed, size, build)
    return _heat(seen.heat(pixels, at), model.labels[at], scores[at], began, pixels)


def _derivable(home: LabHome, key: str, size: Tuple[int, int]) -> Tuple[List[str], Callable[[], gradients.Seen]]:
    """The files with the weights behind a key, and what builds the network of it in TensorFlow for such pictures.

    Raises models.Refused; what it gives does too, and gradients.NoGradients.
    """
    place = keys.place(home, key)
    if place.kind == keys.UPLOADED:
        return _uploaded(home, place.name, size)
    learned = _learned(home, key) if place.kind == keys.RUN else None
    row = learned.row if learned else catalog.backbone(place.name, home)

    def build() -> gradients.Seen:
        head = None
        try:
            network = backbones.load(home, row)
            if learned:
                network, weights, bias = tuned.load(network, keys.lane_file(learned.folder, learned.lane))
                head = (weights, bias)
            return gradients.Seen(gradients.of_network(network, head), size)
        except backbones.MissingWeights as error:
            raise models.Refused(str(error)) from error

    weights = models.weights(home, row)[1]
    return [weights, keys.lane_file(learned.folder, learned.lane)] if learned else [weights], build


def _uploaded(home: LabHome, name: str, size: Tuple[int, int]) -> Tuple[List[str], Callable[[], gradients.Seen]]:
    record = keys.uploaded(home, name)
    if record.suffix == "tflite":
        raise models.Refused("There are no gradients in a TFLite file. The occlusion map needs none.")
    path = os.path.join(keys.folder(home, name), "graph.pb" if record.suffix == "keras" else "model.pb")

    def build() -> gradients.Seen:
        layers = (record.input_layer, record.output_layer)
        mean, std = (record.input_mean,) * 3, (record.input_std,) * 3
        try:
            return gradients.Seen(gradients.of_graph(graphs.read(path), layers[0], layers[1], size, mean, std), size)
        except graphs.GraphRefused as error:
            raise models.Refused(str(error)) from error

    return [path], build


def _heat(grid: np.ndarray, label: str, score: Any, began: float, pixels: np.ndarray) -> protocol.Heat:
    return protocol.Heat(
        grid=[[round(float(value), 6) for value in row] for row in grid],
        label=label,
        score=float(score),
        seconds=time.perf_counter() - began,
        seen_png=_png(pixels),
    )


def _number_of(labels: List[str], label: Optional[str], scores: np.ndarray) -> int:
    """The output of a label, or the most probable one. Raises models.Refused."""
    if label is None:
        return int(scores.argmax())
    found = [at for at, each in enumerate(labels) if each == label]
    if not found:
        raise models.Refused(f"The model has no label {label!r}.")
    return max(found, key=lambda at: scores[at])  # two of ImageNet's classes are called crane


# --- photos that it learned from -------------------------------------------------------------------------------------


def _neighbours(known: models.Models, key: str, image: bytes, count: int) -> List[protocol.Neighbour]:
    learned = _learned(known.home, key)
    photos, distances = _distances(known, learned, image)
    try:
        dataset = datasets.read(learned.folder.dataset)
        root = dataset.root
    except (OSError, ValueError, KeyError, TypeError):
        root = ""
    rows = []
    for at in np.argsort(distances, kind="stable")[:count]:
        photo = photos[at]
        path = os.path.join(root, photo.file)
        rows.append(
            protocol.Neighbour(
                path=path if root and os.path.isfile(path) else "",
                file=photo.file,
                label=learned.contract["labels"][photo.label],
                distance=float(distances[at]),
                split=photo.split,
            )
        )
    return rows


def _outlier(known: models.Models, key: str, image: bytes) -> protocol.Outlier:
    learned = _learned(known.home, key)
    measured = _measured(learned)
    if measured is None:
        raise models.Refused(
            "What is none of these was never measured for this run. Run it again with the same settings: since then, "
            "runs measure it at their end."
        )
    model = known.get(key)
    scores = calibration.calibrated(_scores(model, _pixels(model, image)), measured["temperature"])
    rule = measured["none_of_these"]
    threshold: Optional[float] = rule["distance"]
    distance: Optional[float] = None
    score = float(scores.max())
    is_none = score < rule["score"]
    if threshold is not None:
        try:
            distance = float(_distances(known, learned, image)[1].min())
            is_none = is_none or distance > threshold
        except models.Refused:  # the bottlenecks are gone; the score still says something
            threshold = None
    return protocol.Outlier(
        is_none_of_these=is_none,
        distance=distance,
        score=score,
        distance_threshold=threshold,
        score_threshold=rule["score"],
        false_alarms=rule["false_alarms"],
        photos=rule["photos"],
    )


def calibrated_score(home: LabHome, key: str, scores: np.ndarray) -> Optional[float]:
    """Of the most probable label, 0..1; None where calibration was never measured. `scores`: (classes,)."""
    try:
        measured = _measured(_learned(home, key))
        return float(calibration.calibrated(scores, measured["temperature"]).max()) if measured else None
    except (models.Refused, KeyError, TypeError):  # the file may be damaged; the answer itself is not
        return None


def _measured(learned: Learned) -> Optional[Dict[str, Any]]:
    """What engine/worker/learning/calibration.py wrote of this lane."""
    try:
        lanes: Dict[str, Optional[Dict[str, Any]]] = read_json(learned.folder.calibration)["lanes"]
        return lanes[learned.lane]
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _learned(home: LabHome, key: str) -> Learned:
    """Of a retraining run's key. Raises models.Refused."""
    try:
        place = keys.place(home, key)
    except KeyError:
        raise models.Refused(f"There is no finished model {key!r}. It may have been deleted.") from None
    if place.kind != keys.RUN:
        raise models.Refused(
            "This model did not learn in the lab, so the photos that it learned from are not here. Choose a run."
        )
    folder = home.run(place.name)
    try:
        contract = read_json(folder.contract)
    except (OSError, ValueError):
        raise models.Refused(f"There is no finished model {place.name!r}. It may have been deleted.") from None
    if "networks" in contract:
        raise models.Refused("A network for digits has no backbone. Choose a run that learned from photos.")
    try:
        row = catalog.backbone(contract["backbone"], home)
    except KeyError:
        raise models.Refused("The backbone of this run was deleted. Add the module again.") from None
    return Learned(folder, contract, row, place.lane or keys.kept_lane(contract))


def _distances(known: models.Models, learned: Learned, image: bytes) -> Tuple[List[datasets.Photo], np.ndarray]:
    """Training photos whose bottlenecks are known, and the cosine distance of the picture to each, float64.

    Raises models.Refused where none is.
    """
    if "blocks" in learned.contract:
        raise models.Refused(
            "Photos are compared by what the backbone makes of them, and the blocks of this one have learned. Choose a "
            "retraining run."
        )
    photos, sha256 = _training_photos(learned)
    backbone = known.backbone(learned.row)
    if models.weights(known.home, learned.row)[0] != learned.contract["weights_sha256"]:
        raise models.Refused(f"The weights of {learned.row.title} are others than those of this run.")
    vector = backbone.run(_pixels(backbone, image)[None])[0]
    found: List[datasets.Photo] = []
    distances: List[np.ndarray] = []
    for some, vectors in _bottlenecks(known.home, learned, photos, sha256):
        found += some
        distances.append(calibration.distances(vector, vectors))
    if not found:
        raise models.Refused(
            "No bottleneck of this run's training photos is kept: the cache was deleted, or the run learned from "
            "distorted photos. A run of the same backbone on these photos, without distortions, brings them back."
        )
    return found, np.concatenate(distances)


def _training_photos(learned: Learned) -> Tuple[List[datasets.Photo], List[str]]:
    """The training photos of a run and the sha256 of each. Raises models.Refused."""
    try:
        value = read_json(learned.folder.photos)
        columns = zip(value["files"], value["label_of_file"], value["split_of_file"], value["sha256"])
        rows = [(datasets.Photo(file, label, split), sha256) for file, label, split, sha256 in columns]
    except (OSError, ValueError, KeyError, TypeError):
        raise models.Refused(
            "Which photos this run learned from was not kept. Run it again with the same settings: since then, runs "
            "keep a list."
        ) from None
    chosen = [row for row in rows if row[0].split == datasets.TRAINING]
    return [photo for photo, _ in chosen], [sha256 for _, sha256 in chosen]


def _bottlenecks(
    home: LabHome, learned: Learned, photos: List[datasets.Photo], sha256: List[str]
) -> Iterator[Tuple[List[datasets.Photo], np.ndarray]]:
    """Photos and their bottlenecks, (photos, width) float32, some at a time; those that are not kept are left out."""
    network = backbones.Network(learned.row, learned.contract["weights_sha256"], None)
    files = BottleneckFiles(specs.read(learned.folder.spec).bottleneck_dir, learned.row)
    cache: Optional[bottlenecks.Cache] = None
    if os.path.isfile(home.bottlenecks):  # a question makes no cache where there is none
        cache = bottlenecks.Cache(home.bottlenecks, bottlenecks.key(network), learned.row.width)
    try:
        for start in range(0, len(photos), BLOCK):
            block = list(zip(photos, sha256))[start : start + BLOCK]
            kept = cache.read([name for _, name in block]) if cache else {}
            some, vectors = [], []
            for photo, name in block:
                vector = kept[name] if name in kept else files.read(photo.file) if files.folder else None
                if vector is not None:
                    some.append(photo)
                    vectors.append(vector)
            if some:
                yield some, np.stack(vectors)
    finally:
        if cache:
            cache.close()


# --- pictures --------------------------------------------------------------------------------------------------------


def _pixels(model: models.Model, image: bytes) -> np.ndarray:
    """(height, width, 3) float32, 0..255. Raises images.ImageError."""
    decoded = images.decode(image, model.preprocessing)
    pixels = images.resize_to(decoded, model.input_height, model.input_width, model.preprocessing)
    return pixels.astype(np.float32)


def _scores(model: models.Model, pixels: np.ndarray) -> np.ndarray:
    """(classes,) float32. Raises models.Refused."""
    value = (pixels[None] - np.float32(model.input_mean)) / np.float32(model.input_std)
    scores = model.run(value.astype(np.float32))[0]
    if not np.isfinite(scores).all():
        raise models.Refused("The model answers with values that are no numbers. Check the input's mean and std.")
    return scores


def _top(labels: List[str], scores: np.ndarray) -> List[protocol.Scored]:
    return [protocol.Scored(labels[at], float(scores[at])) for at in np.argsort(-scores, kind="stable")[:TOP]]


def _png(pixels: np.ndarray) -> bytes:
    file = io.BytesIO()
    Image.fromarray(np.clip(pixels + 0.5, 0, 255).astype(np.uint8)).save(file, "PNG", compress_level=1)
    return file.getvalue()
