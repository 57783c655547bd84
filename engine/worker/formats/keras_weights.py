"""TFLite files to Keras Applications networks with the same weights, and those to frozen graphs. Python 3.6.

A TFLite file holds its convolutions in order, batch normalisation folded into kernel and bias. Keras' network gets the
kernels as they are, and the biases as the offsets of its batch normalisation, whose other three numbers are set so that
it changes nothing else. Weights of 8 bits become float32 by their scale and zero point.
"""

import re
from typing import Any, Callable, Dict, List, NamedTuple, Tuple

import numpy as np

from engine.contract import catalog
from engine.contract.run_folder import write_bytes
from engine.worker.formats import tflite

# The tensors of the frozen graph.
INPUT, FEATURES, ANSWERS = "input", "features", "probabilities"

# Part of the file's name: raised whenever `freeze` builds another graph.
FORM = 1


class Layer(NamedTuple):
    name: str  # of its kernel in the TFLite file
    kernel: Any  # float32, as TFLite has it: (out, height, width, in), depthwise (1, height, width, channels)
    bias: Any  # (out,) float32


class Architecture(NamedTuple):
    model: Any  # Keras'
    layers: List[Layer]  # of the TFLite file, in the order of the next two
    convolutions: List[Any]  # Keras'
    norms: List[Any]  # Keras', one behind each convolution


def freeze(path: str, row: catalog.Backbone, target: str) -> None:
    """Write the network as a frozen graph: normalised (N, size, size, 3) float32 -> FEATURES and ANSWERS.

    Raises ValueError where the file is not that network.
    """
    import tensorflow as tf
    from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2

    convolutions, last = _read(path)
    architecture = _ARCHITECTURES[row.name](convolutions)
    model = architecture.model
    _fill(architecture)
    weights = last.kernel.reshape(len(last.bias), -1).T  # (width, 1001)

    @tf.function(input_signature=[tf.TensorSpec([None, row.size, row.size, 3], tf.float32, name=INPUT)])
    def network(pictures: Any) -> Any:
        features = tf.identity(model(pictures, training=False), name=FEATURES)
        return tf.nn.softmax(tf.matmul(features, weights) + last.bias, name=ANSWERS)

    frozen = convert_variables_to_constants_v2(network.get_concrete_function())
    write_bytes(target, frozen.graph.as_graph_def().SerializeToString())


def _read(path: str) -> Tuple[List[Layer], Layer]:
    """The convolutions in the file's order, and the last layer. Raises ValueError."""
    interpreter = tflite.interpreter()[0](model_path=path)
    details = {tensor["index"]: tensor for tensor in interpreter.get_tensor_details()}
    interpreter.allocate_tensors()
    layers = []
    for op in interpreter._get_ops_details():  # there is no public way to the ops
        if op["op_name"] in ("CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED"):
            kernel, bias = (_float(interpreter, details[index]) for index in list(op["inputs"])[1:3])
            layers.append(Layer(details[op["inputs"][1]]["name"], kernel, bias))
    if not layers:
        raise ValueError("the file holds no convolutions")
    return layers[:-1], layers[-1]


def _float(interpreter: Any, tensor: Dict[str, Any]) -> np.ndarray:
    values = interpreter.get_tensor(tensor["index"]).astype(np.float32)
    if tensor["dtype"] == np.float32:
        return values
    quantised = tensor["quantization_parameters"]  # one scale for the whole tensor in these files
    return (values - np.float32(quantised["zero_points"][0])) * np.float32(quantised["scales"][0])


def _fill(architecture: Architecture) -> None:
    """Copy the weights into Keras' layers. Raises ValueError where they do not fit."""
    layers, convolutions, norms = architecture.layers, architecture.convolutions, architecture.norms
    if not len(layers) == len(convolutions) == len(norms):
        raise ValueError(f"{len(layers)} convolutions where {len(convolutions)} were expected")
    for layer, convolution, norm in zip(layers, convolutions, norms):
        kernel = layer.kernel.transpose(1, 2, 3, 0)  # a depthwise one: (height, width, channels, 1), as Keras has it
        shape = tuple(convolution.get_weights()[0].shape)
        if kernel.shape != shape:
            raise ValueError(f"{layer.name} is {kernel.shape} where {shape} was expected")
        convolution.set_weights([kernel])
        nothing, as_it_is = np.zeros_like(layer.bias), np.ones_like(layer.bias)
        scale = [as_it_is] if norm.scale else []
        norm.set_weights(scale + [layer.bias, nothing, as_it_is - np.float32(norm.epsilon)])


def _mobilenet_v1(layers: List[Layer]) -> Architecture:
    import tensorflow as tf

    model = tf.keras.applications.MobileNet(weights=None, include_top=False, pooling="avg", input_shape=(224, 224, 3))
    return _architecture(model, layers, model.layers)  # a chain: both have one order only


def _inception_v3(layers: List[Layer]) -> Architecture:
    """The file is in the order of execution, Keras' layers are numbered as its code builds them: branch by branch."""
    import tensorflow as tf

    model = tf.keras.applications.InceptionV3(weights=None, include_top=False, pooling="avg", input_shape=(299, 299, 3))

    def place(layer: Layer) -> Tuple[str, str, str]:
        """ ".../Mixed_6b/Branch_2/Conv2d_0c_1x7/..." -> ("6b", "2", "0c_1x7"); the stem comes first."""
        block = re.search(r"Mixed_(\w+)/Branch_(\d)/", layer.name)
        convolution = re.search(r"Conv(?:2d|_1)_(\w+)", layer.name)
        if not convolution:
            raise ValueError(f"{layer.name} is no layer of Inception v3")
        where = block.groups() if block else ("", "")
        return where[0], where[1], convolution.group(1)

    def number(layer: Any) -> int:
        """ "conv2d_17" -> 17; Keras counts from "conv2d" on."""
        return int((re.findall(r"_(\d+)$", layer.name) or ["0"])[0])

    main = [layer for layer in layers if "AuxLogits" not in layer.name]
    return _architecture(model, sorted(main, key=place), sorted(model.layers, key=number))


def _architecture(model: Any, layers: List[Layer], of_keras: List[Any]) -> Architecture:
    import tensorflow as tf

    # A depthwise convolution is a kind of Conv2D in one Keras and not in the other.
    convolutions = (tf.keras.layers.Conv2D, tf.keras.layers.DepthwiseConv2D)
    return Architecture(
        model,
        layers,
        [one for one in of_keras if isinstance(one, convolutions)],
        [one for one in of_keras if isinstance(one, tf.keras.layers.BatchNormalization)],
    )


_ARCHITECTURES: Dict[str, Callable[[List[Layer]], Architecture]] = {
    "inception_v3_keras": _inception_v3,
    "mobilenet_v1_keras": _mobilenet_v1,
}
