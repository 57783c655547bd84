"""A network with its recipe as one line, for addresses and for people who type:

    conv 32 3, relu, flatten, dense 10; title My net; adam 0.001; one_cycle; batch 32; smoothing 0.05; moved; held_out 5

The layers come first, as engine/contract/layers.py reads them. What is left out is as in the coursework, except that
one_cycle, smoothing and moved are off without their word.
"""

import re

from engine.contract import catalog, layers
from engine.contract.kinds.mnist import network_faults

TITLE_LIMIT = 40  # characters
TEXT_LIMIT = 4000
SOURCE = "Built here"


def write(network: catalog.Network) -> str:
    """The line that `read` takes."""
    words = [network.layers, f"title {network.title}", f"{network.optimizer} {network.learning_rate:g}"]
    if network.schedule == catalog.ONE_CYCLE:
        words.append("one_cycle")
    words.append(f"batch {network.batch_size}")
    if network.label_smoothing:
        words.append(f"smoothing {network.label_smoothing:g}")
    if network.augmentation:
        words.append("moved")
    return "; ".join([*words, f"held_out {network.validation_images}"])


def read(text: str) -> catalog.Network:
    """The network of that line; its shapes may still be wrong, see layers.costs. Raises ValueError with a sentence."""
    if len(text) > TEXT_LIMIT:
        raise ValueError(f"The text has {len(text):,} characters; use at most {TEXT_LIMIT:,}.")
    written, *rest = text.split(";")
    rows = read_layers(written)
    found = catalog.network("beginner")._replace(
        **catalog.COURSEWORK, layers=layers.write(rows), title="My network", source=SOURCE
    )
    for part in rest:
        word, _, value = part.strip().partition(" ")
        found = found._replace(**_setting(word, value.strip()))
    found = found._replace(name=name_of(found.title))
    # Of the layers the shapes alone may be wrong here: a builder draws them, and says what is.
    wrong = network_faults(found._replace(layers="flatten, dense 10"))
    if wrong:
        raise ValueError(wrong[0])
    return found


def read_layers(text: str) -> list[layers.Layer]:
    """The layers, each with its numbers within limits. Raises ValueError with a sentence that names the layer."""
    rows = layers.read(text)
    if len(rows) > layers.LAYER_LIMIT:
        raise ValueError(f"The network has {len(rows)} layers; use at most {layers.LAYER_LIMIT}.")
    for number, row in enumerate(rows, 1):
        layers.check_numbers(number, row)
    return rows


def name_of(title: str) -> str:
    """The word of specs and lanes for a title of people: "My net (2)" -> "my_net_2"."""
    return re.sub(r"[^a-z0-9]+", "_", title.lower()).strip("_")[:TITLE_LIMIT] or "own"


def plain(title: str) -> str:
    """A title without what Markdown or the line above would read as something else; at most 40 characters."""
    return " ".join(re.sub(r"[^\w ,.()+%×-]|_", " ", title).split())[:TITLE_LIMIT].strip()


def _setting(word: str, value: str) -> dict:
    try:
        match word:
            case "title":
                return {"title": plain(value) or "My network"}
            case catalog.ADAM | catalog.SGD:
                return {"optimizer": word, "learning_rate": float(value)}
            case catalog.ONE_CYCLE | catalog.CONSTANT if not value:
                return {"schedule": word}
            case "batch":
                return {"batch_size": int(value)}
            case "smoothing":
                return {"label_smoothing": float(value)}
            case "moved" if not value:
                return {"augmentation": True}
            case "held_out":
                return {"validation_images": int(value)}
    except ValueError as error:
        raise ValueError(f"{word} is {value!r}; write a number.") from error
    accepted = "title, adam, sgd, one_cycle, batch, smoothing, moved and held_out"
    raise ValueError(f"{(word + ' ' + value).strip()!r} is no setting; after the layers come {accepted}.")
