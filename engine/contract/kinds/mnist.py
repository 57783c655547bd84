"""The comparison of networks for digits, which are trained side by side, one lane each.

Python 3.6, standard library only.
"""

import re
from typing import List, NamedTuple, Optional, Tuple

from engine.contract import catalog, choices, events, layers

NETWORK_LIMIT = 6  # the palette has six colours that stay apart
BATCH_LIMIT = 8192
NETWORK_RATE_LIMITS = (0.00001, 1.0)
IMAGES_LIMIT = 1000  # fewer training pictures than this teach a network nothing
# Compared where nobody chooses others.
DEFAULT_NETWORKS = tuple(catalog.network(name) for name in ("beginner", "coursework_as_meant", "small", "strong"))


class MnistSpec(NamedTuple):
    """Networks for digits, compared."""

    data: str = "mnist"  # a name of catalog.DIGIT_SETS, or of a set that was uploaded
    # One lane each, trained side by side, 1 to 6 of different names
    networks: Tuple[catalog.Network, ...] = DEFAULT_NETWORKS
    training_images: int = 0  # from the first on; 0: all. Held out pictures come from the end
    epochs: int = 5  # 1 to 100
    seed: int = 0  # of first weights, order, dropout and moved pictures
    device: str = choices.CPU  # "cpu" or "gpu"

    def run_title(self, photos: str, number: Optional[int], backbone: str) -> str:
        what = self.networks[0].title if len(self.networks) == 1 else f"{len(self.networks)} networks"
        epochs = f"{self.epochs} epoch{'' if self.epochs == 1 else 's'}"
        return f"{catalog.digit_set(self.data).title} · {what} · {epochs}"

    def lane_names(self) -> List[str]:
        return [network.name for network in self.networks]

    def lane_titles(self) -> List[str]:
        return [network.title for network in self.networks]

    def faults(self) -> List[str]:
        found: List[str] = []
        if not 1 <= len(self.networks) <= NETWORK_LIMIT:
            found.append(f"{len(self.networks)} networks; choose 1 to {NETWORK_LIMIT}.")
        for number, network in enumerate(self.networks):
            if network.name in [other.name for other in self.networks[:number]]:
                found.append(f"{network.title} is listed twice; each network needs a name of its own.")
            found += [f"{network.title}: {fault}" for fault in network_faults(network)]
        if not re.match(r"[A-Za-z0-9][A-Za-z0-9_-]*$", self.data):  # becomes part of a path
            found.append(f"Data is {self.data!r}; choose a set by its name, like mnist.")
        if self.training_images:
            choices.within(found, "Training images", self.training_images, IMAGES_LIMIT, 10000000, " or 0 for all")
        choices.within(found, "Epochs", self.epochs, 1, choices.EPOCH_LIMIT)
        choices.seed(found, self.seed)
        choices.device(found, self.device)
        return found


def network_faults(network: catalog.Network) -> List[str]:
    """What is wrong with one network, its layers and how it is to be trained; empty if nothing."""
    found: List[str] = []
    if not re.match(r"[a-z0-9][a-z0-9_]{0,39}$", network.name):  # becomes a file's name
        found.append(f"Its name is {network.name!r}; use up to 40 of a to z, 0 to 9 and _.")
    try:
        found += layers.faults(layers.read(network.layers))
    except ValueError as error:
        found.append(str(error))
    low, high = NETWORK_RATE_LIMITS
    if not low <= network.learning_rate <= high:  # False for NaN too
        found.append(f"Learning rate is {network.learning_rate:g}; choose {low:g} to {high:g}.")
    if network.optimizer not in (catalog.ADAM, catalog.SGD):
        found.append(f"Optimizer is {network.optimizer!r}; choose adam or sgd.")
    if network.schedule not in (catalog.CONSTANT, catalog.ONE_CYCLE):
        found.append(f"Schedule is {network.schedule!r}; choose constant or one_cycle.")
    choices.within(found, "Batch size", network.batch_size, 1, BATCH_LIMIT)
    if not 0 <= network.label_smoothing <= 0.5:
        found.append(f"Label smoothing is {network.label_smoothing:g}; choose 0 to 0.5.")
    choices.within(found, "Validation images", network.validation_images, 0, 50000)
    return found


class NetworkResult(NamedTuple):
    """The final figures of one network, measured with its last weights."""

    t: float
    lane: str
    parameters: int
    multiply_adds: int  # for one picture
    epochs: float  # learned; no whole number where it was stopped
    train_seconds: float  # spent on this network, building its TensorFlow function included
    images_per_second: float  # learned from
    test_accuracy: float  # 0..1
    test_n: int  # pictures tested, once
    validation_accuracy: Optional[float]  # 0..1, at the last evaluation; None without a validation split
    best_epoch: int  # by validation; 0 without
    stopped: bool


class NetworkExported(NamedTuple):
    """The files of a network were written, and loaded again in a fresh process."""

    t: float
    lane: str
    difference: float  # of a probability, the largest
    images: int  # compared
    image_seconds: float  # for one picture, median, TFLite with one thread


class MnistResult(NamedTuple):
    """The final figures of a comparison."""

    t: float
    runtime: str  # for people
    peak_memory_bytes: int  # of the worker process, the kernel's own figure


SPEC = MnistSpec
HAS_DATASET = False
STAGES = (events.LOADING, events.TRAINING, events.EVALUATING, events.EXPORTING)
EVENTS = {"network_result": NetworkResult, "network_exported": NetworkExported, "mnist_result": MnistResult}
