"""Grad-CAM: where the last convolutions find what speaks for a label. TensorFlow; Python 3.6.

Selvaraju et al. 2017, Grad-CAM: Visual Explanations from Deep Networks via Gradient-based Localization. The maps are
the last values of a network that still have rows and columns; each is weighted by the mean gradient of the label's
score in front of the softmax, and what speaks against the label is left out.
"""

import collections
from typing import Any, Callable, List, NamedTuple, Optional, Tuple

import numpy as np

from engine.worker import backbones
from engine.worker.formats import graphs
from engine.worker.formats.checkpoints import Chain


class Parts(NamedTuple):
    maps: Callable[[Any], Any]  # RGB (1, height, width, 3) float32, 0..255 -> (1, rows, columns, channels)
    scores: Callable[[Any], Any]  # those -> (1, classes), in front of the softmax where there is one


Head = Optional[Tuple[np.ndarray, np.ndarray]]  # a last layer of the lab's own: (width, classes), (classes,) float32

# Operations that only hand on what a layer in front of them says.
_PASSING = ("Identity", "Reshape", "Squeeze", "StopGradient", "PreventGradient")


class NoGradients(Exception):
    """There is nothing to derive; the text says why, for people."""


def of_network(network: backbones.Network, head: Head) -> Parts:
    """A backbone with a last layer of the lab's, or with its own where `head` is None. Raises NoGradients."""
    body, row = network.body, network.row
    if isinstance(body, Chain):
        return _of_chain(body, head or (body.imagenet_weights, body.imagenet_bias))
    layer = body.bottleneck_layer if head else body.answer_layer or body.bottleneck_layer
    return of_graph(body.graph_def, body.input_layer, layer, (row.size, row.size), row.mean, row.std, head)


def _of_chain(chain: Chain, head: Tuple[np.ndarray, np.ndarray]) -> Parts:
    import tensorflow as tf

    return Parts(chain.maps, lambda maps: tf.matmul(chain.pooled(maps), head[0]) + head[1])


def of_graph(
    graph_def: Any, input_layer: str, output_layer: str, size: Tuple[int, int], mean: Any, std: Any, head: Head = None
) -> Parts:
    """A frozen graph that takes (RGB - mean) / std of (height, width) pixels. Raises NoGradients."""
    import tensorflow as tf

    mean, std = np.array(mean, np.float32), np.array(std, np.float32)
    try:
        where, result = _last_maps(graph_def, input_layer, output_layer, size, bool(head))
    except graphs.GraphRefused as error:
        raise NoGradients(str(error)) from error

    def scores(maps: Any) -> Any:
        values = tf.reshape(graphs.call(graph_def, where, maps, result), [1, -1])
        return tf.matmul(values, head[0]) + head[1] if head else values

    return Parts(lambda rgb: graphs.call(graph_def, input_layer, (rgb - mean) / std, where), scores)


def _last_maps(
    graph_def: Any, input_layer: str, output_layer: str, size: Tuple[int, int], whole: bool
) -> Tuple[str, str]:
    """(the tensor nearest to the output that has rows and columns and that all of it hangs on, the scores' tensor).

    The scores are what is in front of the output's softmax; the output itself where there is none, or with `whole`.
    """
    import tensorflow as tf

    part = graphs.between(graph_def, input_layer, output_layer)
    with tf.Graph().as_default():
        entry = tf.compat.v1.placeholder(tf.float32, [1, size[0], size[1], 3], name="bottleneck_lab_entry")
        names = {graphs.tensor_name(input_layer): entry}
        try:
            result = tf.graph_util.import_graph_def(
                part, input_map=names, return_elements=[graphs.tensor_name(output_layer)], name=""
            )[0]
        except (ValueError, TypeError, tf.errors.OpError) as error:
            raise graphs.GraphRefused(f"The graph cannot take pictures: {graphs.sentence(error)}") from error
        if not whole:
            result = _before_the_softmax(result)
        behind = _behind(entry)
        waiting, seen = collections.deque([result.op]), {result.op.name}
        while waiting:
            operation = waiting.popleft()
            for source in operation.inputs:
                if source.op.name in seen or source.op.name not in behind:
                    continue
                seen.add(source.op.name)
                waiting.append(source.op)
                if _has_rows_and_columns(source) and _leads_all_the_way(graph_def, source.name, result.name):
                    return source.name, result.name
    raise NoGradients("In this graph nothing between picture and answer has rows and columns.")


def _before_the_softmax(result: Any) -> Any:
    operation = result.op
    while operation.type in _PASSING:
        operation = operation.inputs[0].op
    return operation.inputs[0] if operation.type == "Softmax" else result


def _behind(entry: Any) -> Any:
    """Names of the operations whose values depend on that tensor."""
    found: Any = set()
    waiting: List[Any] = [entry]
    while waiting:
        for operation in waiting.pop().consumers():
            if operation.name not in found:
                found.add(operation.name)
                waiting += operation.outputs
    return found


def _has_rows_and_columns(tensor: Any) -> bool:
    if not tensor.dtype.is_floating or tensor.shape.rank != 4:
        return False
    rows, columns = tensor.shape.as_list()[1:3]
    return bool(rows and columns and rows > 1 and columns > 1)


def _leads_all_the_way(graph_def: Any, where: str, result: str) -> bool:
    """Whether the result needs nothing else of the picture: beside one branch of several there is another way."""
    try:
        graphs.between(graph_def, where, result)
    except graphs.GraphRefused:
        return False
    return True


class Seen:
    """A network whose parts were found, and the function that was built of them."""

    def __init__(self, parts: Parts, size: Tuple[int, int]) -> None:
        import tensorflow as tf

        def weighed(rgb: Any, label: Any) -> Any:
            maps = parts.maps(rgb)
            scores = parts.scores(maps)[0]
            score = tf.reduce_sum(scores * tf.one_hot(label, tf.shape(scores)[0]))
            slope = tf.gradients(score, maps)[0]  # a tape does not see what was imported
            if slope is None:
                raise NoGradients("The operations of this network have no gradients.")
            weights = tf.reduce_mean(slope, axis=[1, 2], keepdims=True)
            return tf.nn.relu(tf.reduce_sum(maps * weights, axis=3))[0]

        self._weighed = tf.function(
            weighed,
            input_signature=[tf.TensorSpec([1, size[0], size[1], 3], tf.float32), tf.TensorSpec([], tf.int32)],
            autograph=False,
        )

    def heat(self, pixels: np.ndarray, label: int) -> np.ndarray:
        """(height, width, 3) float32, 0..255, number of the label -> (rows, columns) float32, 0..1, 1 the strongest.

        All zeros where nothing speaks for the label. Raises NoGradients.
        """
        import tensorflow as tf

        try:
            found = self._weighed(tf.constant(pixels[None]), tf.constant(label)).numpy()
        except LookupError as error:  # an operation whose gradient TensorFlow does not know
            raise NoGradients(
                "This network cannot be derived: {}.".format(str(error).split("\n")[0].rstrip("."))
            ) from error
        except (ValueError, tf.errors.OpError, graphs.GraphRefused) as error:
            raise NoGradients(f"This network cannot be derived: {graphs.sentence(error)}") from error
        found = np.nan_to_num(found)
        return found / found.max() if found.max() > 0 else found
