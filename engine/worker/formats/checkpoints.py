"""PyTorch checkpoints to networks: chains of convolutions with their batch normalisation folded away.

Folded into kernel and bias, one small description serves TensorFlow 2.6 and 2.21, needs no Keras, and becomes a graph
of nothing but constants. The tests hold it against Keras' own layers with batch normalisation in place. Python 3.6.
"""

from typing import Any, Callable, Dict, List, NamedTuple, Tuple

import numpy as np

from engine.contract import catalog
from engine.worker.formats import torch_file


class Conv(NamedTuple):
    kernel: Any  # (height, width, in, out) float32; depthwise: (height, width, channels, 1)
    bias: Any  # (out,) float32
    stride: int
    depthwise: bool
    symmetric: bool  # PyTorch's padding, equal on both sides; otherwise TensorFlow's "SAME"
    relu6: bool
    # What the checkpoint's own kernel was multiplied by, shaped to the kernel: whoever lets it learn needs it
    scale: Any


class Block(NamedTuple):
    convs: List[Conv]
    residual: bool  # whether the block's input is added to its output


class Chain:
    """Blocks of convolutions one after another, and ImageNet's own last layer."""

    takes_batches = True

    def __init__(self, path: str, row: catalog.Backbone) -> None:
        """Raises what a missing or damaged file makes Python raise."""
        blocks, weights, bias = _BUILDERS[row.name](torch_file.read(path))
        self.size = row.size  # pixels
        self.mean = np.array(row.mean, np.float32)
        self.blocks = _scaled(blocks, row)
        self.imagenet_weights = weights  # (width, 1000) float32
        self.imagenet_bias = bias  # (1000,) float32

    def features(self, rgb: Any) -> Any:
        return self.pooled(self.maps(rgb))

    def pooled(self, maps: Any) -> Any:
        """What `features` makes of `maps`."""
        import tensorflow as tf

        return tf.reduce_mean(maps, axis=[1, 2])

    def maps(self, rgb: Any) -> Any:
        """RGB (N, size, size, 3) -> what the last convolution puts out, (N, rows, columns, width) float32."""
        return through(self.blocks, self.centred(rgb))

    def centred(self, rgb: Any) -> Any:
        """What goes into the first block. The division by std is in its kernel, see _scaled."""
        return rgb - self.mean

    def answers(self, rgb: Any) -> Any:
        import tensorflow as tf

        return tf.nn.softmax(tf.matmul(self.features(rgb), self.imagenet_weights) + self.imagenet_bias)

    def parameters(self) -> int:
        return sum(conv.kernel.size + conv.bias.size for block in self.blocks for conv in block.convs)


def through(blocks: List[Block], x: Any) -> Any:
    """What these blocks make of x. Kernels and biases may be variables, which then can learn."""
    import tensorflow as tf

    for block in blocks:
        y = x
        for conv in block.convs:
            y = _convolve(tf, y, conv)
        x = x + y if block.residual else y
    return x


def _convolve(tf: Any, x: Any, conv: Conv) -> Any:
    padding = "SAME"
    if conv.symmetric and conv.stride > 1:  # at stride 1 and odd kernels the two paddings are the same
        margin = conv.kernel.shape[0] // 2
        x = tf.pad(x, [[0, 0], [margin, margin], [margin, margin], [0, 0]])
        padding = "VALID"
    strides = [1, conv.stride, conv.stride, 1]
    if conv.depthwise:
        y = tf.nn.depthwise_conv2d(x, conv.kernel, strides, padding)
    else:
        y = tf.nn.conv2d(x, conv.kernel, strides, padding)
    y = tf.nn.bias_add(y, conv.bias)
    return tf.nn.relu6(y) if conv.relu6 else y


def _scaled(blocks: List[Block], row: catalog.Backbone) -> List[Block]:
    """Divides the first kernel by std, channel by channel: 150,000 multiplications fewer for each photo.

    The subtraction of the mean must stay in front, because the network pads with zeros behind it.
    """
    stem = blocks[0].convs[0]
    std = np.array(row.std)[None, None, :, None]
    kernel, scale = [(each / std).astype(np.float32) for each in (stem.kernel, stem.scale)]
    return [Block([stem._replace(kernel=kernel, scale=scale)], blocks[0].residual)] + blocks[1:]


class _Checkpoint:
    """Reads convolutions out of a PyTorch state dictionary and folds the batch normalisation behind them."""

    def __init__(self, tensors: Dict[str, np.ndarray], epsilon: float, symmetric: bool) -> None:
        self.tensors, self.epsilon, self.symmetric = tensors, epsilon, symmetric

    def conv(self, name: str, norm: str, stride: int = 1, depthwise: bool = False, relu6: bool = True) -> Conv:
        # y = (conv(x) - mean) / sqrt(variance + epsilon) * gamma + beta, in float64 and rounded once
        kernel = self.tensors[name + ".weight"].astype(np.float64)  # (out, in, height, width)
        gamma, beta, mean, variance = [
            self.tensors[norm + "." + part].astype(np.float64)
            for part in ("weight", "bias", "running_mean", "running_var")
        ]
        scale = gamma / np.sqrt(variance + self.epsilon)
        order = (2, 3, 0, 1) if depthwise else (2, 3, 1, 0)
        scales = scale[:, None, None, None]
        kernel = (kernel * scales).transpose(order).astype(np.float32)
        bias = (beta - mean * scale).astype(np.float32)
        return Conv(kernel, bias, stride, depthwise, self.symmetric, relu6, scales.transpose(order).astype(np.float32))

    def last_layer(self, name: str) -> Tuple[np.ndarray, np.ndarray]:
        return self.tensors[name + ".weight"].T.copy(), self.tensors[name + ".bias"]


def _inverted_residuals(
    read: _Checkpoint,
    table: List[Tuple[int, int, int, int]],
    number: int,
    names: Callable[[int, bool], List[Tuple[str, str]]],
) -> List[Block]:
    """The blocks of Sandler et al. 2018, figure 4: expand, where it does, then depthwise, then project.

    Rows of `table`: expansion, output channels, repeats, stride of the first; the kernels' sizes are the checkpoint's.
    `names` says for a block, counted from `number`, and whether it expands, the (convolution, norm) of each in order.
    """
    blocks, channels = [], 32
    for expansion, out, repeats, first_stride in table:
        for repeat in range(repeats):
            stride = first_stride if repeat == 0 else 1
            parts = names(number, expansion != 1)
            convs = [read.conv(*part) for part in parts[:-2]]
            convs.append(read.conv(*parts[-2], stride=stride, depthwise=True))
            convs.append(read.conv(*parts[-1], relu6=False))
            blocks.append(Block(convs, stride == 1 and channels == out))
            number, channels = number + 1, out
    return blocks


def _mobilenet_v2(tensors: Dict[str, np.ndarray]) -> Tuple[List[Block], np.ndarray, np.ndarray]:
    """Sandler et al. 2018, table 2, with the names of torchvision's checkpoint."""
    read = _Checkpoint(tensors, epsilon=1e-5, symmetric=True)
    table = [(1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1), (6, 160, 3, 2), (6, 320, 1, 1)]

    def names(number: int, is_expanded: bool) -> List[Tuple[str, str]]:
        at, depthwise = f"features.{number}.conv.", int(is_expanded)
        inner = [(f"{at}{index}.0", f"{at}{index}.1") for index in range(depthwise + 1)]
        return inner + [(f"{at}{depthwise + 1}", f"{at}{depthwise + 2}")]

    blocks = [Block([read.conv("features.0.0", "features.0.1", stride=2)], False)]
    blocks += _inverted_residuals(read, table, 1, names)
    blocks.append(Block([read.conv("features.18.0", "features.18.1")], False))
    return (blocks,) + read.last_layer("classifier.1")


def _efficientnet_lite0(tensors: Dict[str, np.ndarray]) -> Tuple[List[Block], np.ndarray, np.ndarray]:
    """Tan and Le 2019, table 1, in the Lite form: ReLU6, no squeeze-and-excitation."""
    read = _Checkpoint(tensors, epsilon=1e-3, symmetric=False)
    table = [(1, 16, 1, 1), (6, 24, 2, 2), (6, 40, 2, 2), (6, 80, 3, 2), (6, 112, 3, 1), (6, 192, 4, 2), (6, 320, 1, 1)]

    def names(number: int, is_expanded: bool) -> List[Tuple[str, str]]:
        at = f"_blocks.{number}."
        expand = [(at + "_expand_conv", at + "_bn0")] if is_expanded else []
        return expand + [(at + "_depthwise_conv", at + "_bn1"), (at + "_project_conv", at + "_bn2")]

    blocks = [Block([read.conv("_conv_stem", "_bn0", stride=2)], False)]
    blocks += _inverted_residuals(read, table, 0, names)
    blocks.append(Block([read.conv("_conv_head", "_bn1")], False))
    return (blocks,) + read.last_layer("_fc")


_BUILDERS: Dict[str, Callable[[Dict[str, np.ndarray]], Tuple[List[Block], np.ndarray, np.ndarray]]] = {
    "mobilenet_v2": _mobilenet_v2,
    "efficientnet_lite0": _efficientnet_lite0,
}
