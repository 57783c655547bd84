"""The same answer without the page: the command line, and a few lines of Python for an exported model."""

import shlex
from pathlib import Path

from engine.contract import catalog
from engine.contract.run_folder import RunFolder
from engine.models.models import Model, ModelCard
from engine.settings import APP_ROOT, Settings


def command(settings: Settings, model: Model, picture: str) -> str:
    """What to type in the lab's own folder; `picture`: a path."""
    where = "" if Path(settings.home.path) == APP_ROOT / ".lab" else f"LAB_HOME={shlex.quote(settings.home.path)} "
    asked = f"--model {shlex.quote(model.key)} --image {shlex.quote(picture)}"
    return f"{where}python -m engine label_image {asked}"


def saved_model(folder: RunFolder, card: ModelCard, picture: str) -> str:
    """A script for the exported SavedModel, which resizes and normalises by itself."""
    return _lines(
        ["import numpy as np", "import tensorflow as tf", *_imports(card), ""],
        _decoded(card, picture),
        [f"model = tf.saved_model.load({folder.saved_model!r}).signatures['serving_default']"],
        ["scores = model(images=tf.constant(np.asarray(picture)[None]))['probabilities'].numpy()[0]"],
        _said(folder),
    )


def graph(folder: RunFolder, card: ModelCard, picture: str) -> str:
    """A script for the frozen graph, which takes the picture as label_image.py's own defaults have it."""
    size = f"({card.height}, {card.width})"
    if card.preprocessing == catalog.TENSORFLOW:
        resized = [
            f"square = tf.compat.v1.image.resize_bilinear(np.asarray(picture)[None].astype(np.float32), {size}).numpy()"
        ]
    else:
        # In two calls, as the lab resizes: in one, newer Pillows choose the order of the two passes themselves.
        resized = [
            f"wide = picture.resize(({card.width}, picture.height), Image.BILINEAR)",
            f"square = np.asarray(wide.resize(({card.width}, {card.height}), Image.BILINEAR))[None].astype(np.float32)",
        ]
    return _lines(
        ["import numpy as np", "import tensorflow as tf", *_imports(card), ""],
        _decoded(card, picture),
        resized,
        [
            "graph_def = tf.compat.v1.GraphDef()",
            f"graph_def.ParseFromString(open({folder.graph!r}, 'rb').read())",
            "def imported(): tf.compat.v1.import_graph_def(graph_def, name='')",
            "model = tf.compat.v1.wrap_function(imported, []).prune('input:0', 'final_result:0')",
            "scores = model(tf.constant((square - 128) / 128, tf.float32)).numpy()[0]",
        ],
        _said(folder),
    )


def _imports(card: ModelCard) -> list[str]:
    return [] if card.preprocessing == catalog.TENSORFLOW else ["from PIL import Image, ImageOps"]


def _decoded(card: ModelCard, picture: str) -> list[str]:
    if card.preprocessing == catalog.TENSORFLOW:
        return [f"picture = tf.io.decode_jpeg(tf.io.read_file({picture!r}), channels=3)"]
    return [f"picture = ImageOps.exif_transpose(Image.open({picture!r})).convert('RGB')"]


def _said(folder: RunFolder) -> list[str]:
    return [
        f"labels = open({folder.labels!r}).read().splitlines()",
        "for index in np.argsort(-scores)[:5]:",
        "    print(f'{labels[index]} (score={scores[index]:.5f})')",
    ]


def _lines(*parts: list[str]) -> str:
    return "\n".join(line for part in parts for line in part)
