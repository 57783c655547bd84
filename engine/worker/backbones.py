"""Catalogue rows to networks with their real ImageNet weights.

Each format has its reader: checkpoints.py for PyTorch files, keras_weights.py for TFLite files that become a Keras
Applications network, and frozen graphs as they are. A reader gives an object with

    features(rgb)   RGB (N, size, size, 3) float32, 0..255 -> bottlenecks (N, width) float32
    answers(rgb)    likewise -> ImageNet's probabilities (N, classes), where the network still has its last layer
    parameters()    how many numbers the frozen part consists of
    takes_batches   False where the graph was frozen for one picture at a time

both in TensorFlow's words: for a tf.function, where weights become constants. Python 3.6.
"""

import hashlib
import os
from typing import Any, NamedTuple, Optional

import numpy as np

from engine.contract import catalog
from engine.contract.run_folder import LabHome
from engine.worker.formats import graphs
from engine.worker.formats.checkpoints import Chain


class Network(NamedTuple):
    row: catalog.Backbone
    digest: str  # sha256 of the weights' file
    body: Any  # what its format's reader gave


# Part of the names of converted files: raised whenever `features` builds another graph, so that old ones are not used.
FORM = 2


class MissingWeights(Exception):
    """The weights' file is not there, or is not what it should be; the text says so, for people."""


def load(home: LabHome, row: catalog.Backbone) -> Network:
    """The network of a catalogue row. Raises MissingWeights: random weights are never taken instead."""
    path = weights_path(home, row)
    try:
        sha256 = digest(path)
        return Network(row, sha256, _READERS[row.format](home, row, path, sha256))
    except FileNotFoundError:
        raise MissingWeights(f"The weights of {row.title} are not on this machine.") from None
    except Exception as error:  # a damaged pickle raises nearly anything
        raise MissingWeights(
            "The weights of {} cannot be read: {}.".format(row.title, str(error).rstrip("."))
        ) from error


def weights_path(home: LabHome, row: catalog.Backbone) -> str:
    return os.path.normpath(os.path.join(home.assets, row.weights))


def digest(path: str) -> str:
    """sha256 of a file, hexadecimal."""
    with open(path, "rb") as file:
        return hashlib.sha256(file.read()).hexdigest()


def features(network: Network, rgb: Any) -> Any:
    """TensorFlow's description of the frozen part: RGB (N, size, size, 3) float32, 0..255 -> (N, width) float32."""
    return network.body.features(rgb)


def parameters(network: Network) -> int:
    """How many numbers the frozen part consists of."""
    return network.body.parameters()


class Graph:
    """A frozen graph, fed with pictures as its authors normalised them.

    Read when it is first needed, because that takes TensorFlow, which a run with cached bottlenecks does without.
    """

    def __init__(
        self, row: catalog.Backbone, path: str, input_layer: str, bottleneck_layer: str, answer_layer: str
    ) -> None:
        self.row, self.path = row, path
        self.input_layer, self.bottleneck_layer, self.answer_layer = input_layer, bottleneck_layer, answer_layer
        self._graph_def: Any = None
        self._takes_batches: Optional[bool] = None

    @property
    def graph_def(self) -> Any:
        """Raises MissingWeights where the file is no graph, or one that the lab does not run."""
        if self._graph_def is None:
            try:
                self._graph_def = graphs.read(self.path)
            except graphs.GraphRefused as error:
                raise MissingWeights(f"The graph of {self.row.title} cannot be used. {error}") from error
        return self._graph_def

    @property
    def takes_batches(self) -> bool:
        if self._takes_batches is None:
            self._takes_batches = graphs.takes_batches(
                self.graph_def, self.input_layer, self.bottleneck_layer, self.row.size
            )
        return self._takes_batches

    def features(self, rgb: Any) -> Any:
        import tensorflow as tf

        return tf.reshape(self._call(rgb, self.bottleneck_layer), [-1, self.row.width])

    def answers(self, rgb: Any) -> Any:
        return self._call(rgb, self.answer_layer)

    def parameters(self) -> int:
        part = graphs.between(self.graph_def, self.input_layer, self.bottleneck_layer)
        shapes = [node.attr["value"].tensor.tensor_shape.dim for node in part.node if node.op == "Const"]
        return sum(int(np.prod([dim.size for dim in shape])) for shape in shapes if len(shape) > 0)

    def _call(self, rgb: Any, layer: str) -> Any:
        import tensorflow as tf

        normalised = (rgb - np.array(self.row.mean, np.float32)) * (1 / np.array(self.row.std, np.float32))
        if normalised.shape[0] == 1 or self.takes_batches:
            return graphs.call(self.graph_def, self.input_layer, normalised, layer)
        return tf.map_fn(lambda one: graphs.call(self.graph_def, self.input_layer, one[None], layer)[0], normalised)


def _checkpoint(_home: LabHome, row: catalog.Backbone, path: str, _sha256: str) -> Chain:
    return Chain(path, row)


def _graph(_home: LabHome, row: catalog.Backbone, path: str, _sha256: str) -> Graph:
    return Graph(row, path, row.input_layer, row.bottleneck_layer, row.answer_layer)


def _keras(home: LabHome, row: catalog.Backbone, path: str, sha256: str) -> Graph:
    """Through Keras once; the graph that comes of it is kept and is a frozen graph like any other from then on."""
    from engine.worker.formats import keras_weights

    frozen = os.path.join(home.derived, f"{row.name}-{sha256[:16]}-{keras_weights.FORM}.pb")
    if not os.path.exists(frozen):
        keras_weights.freeze(path, row, frozen)
    return Graph(row, frozen, keras_weights.INPUT, keras_weights.FEATURES, keras_weights.ANSWERS)


_READERS = {catalog.CHECKPOINT: _checkpoint, catalog.GRAPH: _graph, catalog.KERAS: _keras}
