"""Frozen TensorFlow graphs, as retrain.py wrote them: read, checked, looked at, called.

    WORKER_PYTHON -m engine.worker.formats.graphs FILE     prints `facts` as one JSON object, or {"error": a sentence}

A graph is a program: among TensorFlow's operations are some that read and write files. So nothing of a file is
imported before each of its operations was found in ALLOWED. Python 3.6.
"""

import collections
import difflib
import json
import os
import sys
from typing import Any, Dict, FrozenSet, Iterator, List, Optional, Set, Tuple

import numpy as np


def words(*lines: str) -> FrozenSet[str]:
    return frozenset(" ".join(lines).split())


# Pure computation: what networks for pictures are made of, training left out. No files, no network, no printing, no
# Python, no variables, and no loops, which need not end.
ALLOWED = words(
    # what holds values and hands them on
    "Const Identity IdentityN NoOp Placeholder PlaceholderV2 PlaceholderWithDefault StopGradient PreventGradient",
    "Snapshot EnsureShape CheckNumerics Assert Switch RefSwitch Merge If StatelessIf Case StatelessCase",
    "PartitionedCall StatefulPartitionedCall",
    # layers
    "Conv2D Conv3D DepthwiseConv2dNative Conv2DBackpropInput FusedBatchNorm FusedBatchNormV2 FusedBatchNormV3",
    "BatchNormWithGlobalNormalization BiasAdd BiasAddV1 MatMul BatchMatMul BatchMatMulV2 BatchMatMulV3 Einsum",
    "AvgPool AvgPool3D MaxPool MaxPoolV2 MaxPoolWithArgmax MaxPool3D FractionalAvgPool FractionalMaxPool LRN L2Loss",
    "Dilation2D _FusedConv2D _FusedMatMul _FusedDepthwiseConv2dNative FusedPadConv2D FusedResizeAndPadConv2D",
    "Relu Relu6 LeakyRelu Elu Selu Softmax LogSoftmax Softplus Softsign Sigmoid Tanh Erf Erfc",
    "SpaceToBatch SpaceToBatchND BatchToSpace BatchToSpaceND SpaceToDepth DepthToSpace",
    # arithmetic
    "Add AddV2 AddN AccumulateNV2 Sub Mul MulNoNan Div DivNoNan RealDiv FloorDiv TruncateDiv FloorMod Mod Xdivy",
    "Xlogy Neg Abs Sign Square SquaredDifference Sqrt Rsqrt Reciprocal Inv Exp Expm1 Log Log1p Pow Sin Cos Tan Asin",
    "Acos Atan Atan2 Sinh Cosh Maximum Minimum ClipByValue Floor Ceil Round Rint Cumsum Cumprod LinSpace Range",
    "Equal NotEqual Less LessEqual Greater GreaterEqual ApproximateEqual LogicalAnd LogicalOr LogicalNot Select",
    "SelectV2 Where IsNan IsInf IsFinite Cast Bitcast ArgMax ArgMin TopK TopKV2 InTopK InTopKV2",
    "Sum Mean Prod Max Min All Any EuclideanNorm",
    # shapes
    "Reshape Squeeze ExpandDims Transpose Shape ShapeN Size Rank Concat ConcatV2 Pack Unpack Split SplitV Slice",
    "StridedSlice Tile Pad PadV2 MirrorPad Fill ZerosLike OnesLike BroadcastTo BroadcastArgs Gather GatherV2 GatherNd",
    "ScatterNd OneHot Reverse ReverseV2 InvertPermutation Unique UniqueV2 ListDiff MatrixDiag MatrixDiagPart",
    "MatrixBandPart Diag DiagPart SegmentSum SegmentMean",
    # dropout that was left in
    "RandomUniform RandomUniformInt RandomStandardNormal TruncatedNormal StatelessRandomUniform",
    "StatelessRandomUniformV2 StatelessRandomGetKeyCounter StatelessRandomGetAlg",
    # pictures that lie in a tensor already
    "DecodeJpeg DecodePng DecodeBmp DecodeGif DecodeImage DecodeAndCropJpeg DecodeRaw DecodeBase64",
    "ExtractJpegShape ResizeBilinear ResizeNearestNeighbor ResizeBicubic ResizeArea QuantizedResizeBilinear",
    "CropAndResize ExtractGlimpse ExtractImagePatches AdjustContrastv2 AdjustHue AdjustSaturation RGBToHSV HSVToRGB",
    "NonMaxSuppressionV3 ImageProjectiveTransformV2 ImageProjectiveTransformV3",
    # eight bits
    "Dequantize Quantize QuantizeV2 QuantizeAndDequantize QuantizeAndDequantizeV2 QuantizeAndDequantizeV3",
    "QuantizeAndDequantizeV4 FakeQuantWithMinMaxArgs FakeQuantWithMinMaxVars FakeQuantWithMinMaxVarsPerChannel",
    "QuantizedConv2D QuantizedMatMul QuantizedBiasAdd QuantizedRelu QuantizedRelu6 QuantizedReluX QuantizedAvgPool",
    "QuantizedMaxPool QuantizedConcat QuantizedConcatV2 QuantizedReshape QuantizedAdd QuantizedMul",
    "QuantizedBatchNormWithGlobalNormalization QuantizedInstanceNorm QuantizeDownAndShrinkRange RequantizationRange",
    "Requantize",
)
VARIABLES = words(
    "Variable VariableV2 VarHandleOp ReadVariableOp TemporaryVariable Assign AssignVariableOp VarIsInitializedOp",
    "IsVariableInitialized",
)
LOOPS = words("While StatelessWhile For Enter RefEnter Exit NextIteration RefNextIteration LoopCond")

FILE_LIMIT = 256 << 20  # bytes; Inception v3 of 2015 has 96 million
CONSTANT_LIMIT = 256 << 20  # bytes of all constants unfolded: a file of 1 KB can claim a constant of 1 TB
NODE_LIMIT = 50000  # in the graph and in its functions; Inception v3 of 2015 has 1,000

# A graph that the lab itself exported has nodes with names that begin so.
OWN = "bottleneck_lab/"
# Where a graph tells nothing of the values that it takes.
GUESS = "Mean 127.5 and std 127.5 are a guess: the graph does not say what it learned with."


class GraphRefused(Exception):
    """The file is no graph that the lab runs, or the graph has no such layer; the text says why, for people."""


def read(path: str) -> Any:
    """The GraphDef of a file, checked from end to end. Raises GraphRefused."""
    name = os.path.basename(path)
    try:
        size = os.path.getsize(path)
        if not size:
            raise GraphRefused(f"{name} is empty.")
        if size > FILE_LIMIT:
            raise GraphRefused(f"{name} has {_mb(size)}; the lab reads graphs of up to {_mb(FILE_LIMIT)}.")
        with open(path, "rb") as file:
            data = file.read(FILE_LIMIT + 1)
    except OSError as error:
        raise GraphRefused(f"{name} cannot be read: {error.strerror}.") from error
    _scan(name, data)

    import tensorflow as tf  # takes seconds: not for a file that is no graph

    graph_def = tf.compat.v1.GraphDef()
    try:
        graph_def.ParseFromString(data)
    except Exception:  # protobuf's own DecodeError; importing it by name would be a dependency more
        raise GraphRefused(f"{name} is no TensorFlow graph, or a damaged one.") from None
    check(graph_def, name)
    return graph_def


def check(graph_def: Any, name: str) -> None:
    """Raise GraphRefused where something in the graph is not pure computation, or is too large. `name`: for people."""
    functions = {function.signature.name: function for function in graph_def.library.function}
    check_functions(functions, graph_def, name)
    bodies = [graph_def.node] + [function.node_def for function in functions.values()]
    refuse_operations({node.op for body in bodies for node in body} - set(functions), name)
    nodes = {node.name for node in graph_def.node}
    if len(nodes) != len(graph_def.node):
        raise GraphRefused(f"{name} is damaged: two of its nodes have the same name.")
    for node in graph_def.node:
        for source in node.input:
            if node_of(source) not in nodes:
                raise GraphRefused(f"{name} is damaged or cut off: {node.name!r} needs {source!r}, which is not in it.")


def check_functions(functions: Dict[str, Any], graph_def: Any, name: str) -> None:
    """Raise GraphRefused where a graph and its functions are too large or where a function is a trap."""
    from tensorflow.python.framework import op_def_registry

    for function in functions:
        if op_def_registry.get(function):
            raise GraphRefused(f"{name} is not run: it calls a function of its own {function!r}.")
    _refuse_recursion(functions, name)
    bodies = [graph_def.node] + [function.node_def for function in functions.values()]
    if sum(len(body) for body in bodies) > NODE_LIMIT:
        raise GraphRefused(f"{name} has more than {NODE_LIMIT:,} nodes.")
    total = sum(_constant_bytes(node, name) for body in bodies for node in body if node.op == "Const")
    if total > CONSTANT_LIMIT:
        raise GraphRefused(
            f"The constants of {name} unfold to {_mb(total)}; the lab takes up to {_mb(CONSTANT_LIMIT)}."
        )


def refuse_operations(operations: Set[str], name: str, allowed: FrozenSet[str] = ALLOWED) -> None:
    """Raise GraphRefused where one of the operations is not allowed; the text names them."""
    foreign = sorted(operations - allowed)
    variables, loops = [op for op in foreign if op in VARIABLES], [op for op in foreign if op in LOOPS]
    others = [op for op in foreign if op not in VARIABLES and op not in LOOPS]
    if others:
        raise GraphRefused(
            f"{name} uses {_listed(others)}, which can read or write files, reach other machines or print, or which "
            "the lab does not know. It is not run."
        )
    if loops:
        raise GraphRefused(f"{name} uses {_listed(loops)}: loops, which need not end. It is not run.")
    if variables:
        raise GraphRefused(
            f"{name} holds variables ({_listed(variables)}) and not their values. Freeze it first, so that they become "
            "constants."
        )


def call(graph_def: Any, input_layer: str, value: Any, output_layer: str) -> Any:
    """The tensor `output_layer` for (N, size, size, 3) float32 given to the graph as `input_layer`.

    Inside a tf.function and outside of one. Only what lies between the two layers is imported, so an `input_layer` in
    the middle of the graph is as good as a placeholder. Layers with and without ":0". Raises GraphRefused.
    """
    import tensorflow as tf

    part = between(graph_def, input_layer, output_layer)
    entry, result = tensor_name(input_layer), tensor_name(output_layer)

    def imported(value: Any) -> Any:
        try:
            return tf.graph_util.import_graph_def(part, input_map={entry: value}, return_elements=[result])[0]
        except (ValueError, TypeError, tf.errors.OpError) as error:
            raise GraphRefused(f"The graph cannot take pictures at {input_layer!r}: {sentence(error)}") from error

    value = tf.convert_to_tensor(value, tf.float32)
    if not tf.executing_eagerly():
        return imported(value)
    # Without autograph, which would hide what this raises behind its own.
    return tf.function(imported, autograph=False)(value)


def between(graph_def: Any, input_layer: str, output_layer: str) -> Any:
    """The GraphDef of what `output_layer` needs apart from `input_layer`, in words that TensorFlow still knows.

    Raises GraphRefused: no such layers, or no way from one to the other without a value for something else.
    """
    import tensorflow as tf

    nodes = {node.name: node for node in graph_def.node}
    entry, result = tensor_name(input_layer), tensor_name(output_layer)
    for layer, tensor in ((input_layer, entry), (output_layer, result)):
        if node_of(tensor) not in nodes:
            raise GraphRefused(f"The graph has no layer {layer!r}. {_what_it_has(graph_def, layer)}")
    if entry == result:
        raise GraphRefused(f"Input and output are the same layer, {input_layer!r}.")
    needed: Set[str] = set()
    waiting: List[str] = [node_of(result)]
    met = False
    while waiting:
        name = waiting.pop()
        if name in needed:
            continue
        needed.add(name)
        for source in nodes[name].input:
            if tensor_name(source) == entry:
                met = True
            elif source != "^" + node_of(entry):
                waiting.append(node_of(source))
    if not met:
        raise GraphRefused(f"In the graph {output_layer!r} does not depend on {input_layer!r}.")
    open_ends = sorted(name for name in needed if nodes[name].op in ("Placeholder", "PlaceholderV2"))
    if open_ends:
        raise GraphRefused(
            f"{output_layer!r} needs a value for {_listed(open_ends)} too, and not only for {input_layer!r}."
        )
    part = tf.compat.v1.GraphDef(versions=graph_def.versions, library=graph_def.library)
    for node in graph_def.node:
        if node.name in needed:
            _modern(part, node, nodes, node_of(entry))
    _modern_version(part)
    return part


def takes_batches(graph_def: Any, input_layer: str, output_layer: str, size: int) -> bool:
    """Whether two pictures at once give what each gives alone; not so in Inception v3 of 2015. Raises GraphRefused."""
    import tensorflow as tf

    answer = tf.function(
        lambda value: call(graph_def, input_layer, value, output_layer),
        input_signature=[tf.TensorSpec([None, size, size, 3], tf.float32)],
        autograph=False,
    )
    pictures = np.random.RandomState(0).uniform(-1, 1, (2, size, size, 3)).astype(np.float32)
    with tf.init_scope():  # called while another function is traced, it must compute all the same
        shape = answer.get_concrete_function().outputs[0].shape
        if shape.rank is not None and (shape.rank == 0 or shape[0] is not None):
            return False
        try:
            both = answer(pictures).numpy()
        except (tf.errors.OpError, ValueError):
            return False
        alone = np.concatenate([answer(picture[None]).numpy() for picture in pictures])
    return both.shape == alone.shape and bool(np.allclose(both, alone, rtol=1e-3, atol=1e-3 * np.abs(alone).max()))


def facts(path: str) -> Dict[str, Any]:
    """What can be said of a graph's file without running it, as JSON values. Raises GraphRefused.

    input_layer, output_layer, input_height, input_width, input_mean and input_std are what label_image wants to know;
    `guess` says in a sentence where they come from, `guessed` names those that are guesses, and `is_own` says whether
    the lab exported the graph. A layer that was not found is "", a shape or number that the graph leaves open is null.
    """
    name = os.path.basename(path)
    graph_def = read(path)

    import tensorflow as tf

    nodes = {node.name: node for node in graph_def.node}
    whole = tf.compat.v1.GraphDef(versions=graph_def.versions, library=graph_def.library)
    for node in graph_def.node:
        _modern(whole, node, nodes, "")
    _modern_version(whole)
    with tf.Graph().as_default() as graph:
        try:
            tf.graph_util.import_graph_def(whole, name="")
        except (ValueError, TypeError, tf.errors.OpError) as error:
            raise GraphRefused(f"{name} cannot be used: {sentence(error)}") from error
    tensors = {node: graph.get_operation_by_name(node).outputs[:1] for node in nodes}
    pictures = [node.name for node in graph_def.node if _takes_pictures(node, tensors)]
    last = [node for node in last_layers(graph_def) if tensors[node] and tensors[node][0].dtype.is_floating]
    input_layer = pictures[0] if pictures else _in_front_of_the_first_convolution(graph_def, nodes)
    output_layer = _answer_among(last, nodes, input_layer)
    answer = _shape(tensors[output_layer]) if output_layer else None
    shape = _shape(tensors[input_layer]) if input_layer else None
    height, width = shape[1:3] if shape and len(shape) == 4 else (None, None)
    mean, std, guess = _range_of_values(graph_def, input_layer)
    guessed = ["input_mean", "input_std"] if guess == GUESS else []
    if not input_layer:
        guess = "The graph has no layer that takes pictures."
    elif height is None or width is None:
        guess += " The graph takes pictures of any size; 224 x 224 is a guess."
        guessed += [name for name, size in (("input_height", height), ("input_width", width)) if size is None]
        height, width = height or 224, width or 224
    return {
        "bytes": os.path.getsize(path),
        "nodes": len(graph_def.node),
        "operations": dict(collections.Counter(node.op for node in graph_def.node).most_common()),
        "parameters": _parameters(graph_def),
        "inputs": [
            {"name": node.name, "dtype": tensors[node.name][0].dtype.name, "shape": _shape(tensors[node.name])}
            for node in graph_def.node
            if node.op.startswith("Placeholder")
        ],
        "outputs": [{"name": node, "shape": _shape(tensors[node])} for node in last],
        "input_layer": input_layer,
        "output_layer": output_layer,
        "input_height": height,
        "input_width": width,
        "classes": answer[-1] if answer else None,
        "input_mean": mean,
        "input_std": std,
        "guess": guess,
        "guessed": guessed,
        "is_own": any(node.name.startswith(OWN) for node in graph_def.node),
    }


def _takes_pictures(node: Any, tensors: Dict[str, Any]) -> bool:
    if not node.op.startswith("Placeholder") or not tensors[node.name][0].dtype.is_floating:
        return False
    shape = _shape(tensors[node.name])
    return shape is None or (len(shape) == 4 and shape[3] in (None, 3))


def _in_front_of_the_first_convolution(graph_def: Any, nodes: Dict[str, Any]) -> str:
    """Inception v3 of 2015 decodes and resizes in the graph; what its first convolution takes is `Mul`."""
    for node in graph_def.node:
        if node.op in ("Conv2D", "DepthwiseConv2dNative") and nodes[node_of(node.input[0])].op != "Const":
            return node_of(node.input[0])
    return ""


def _answer_among(last: List[str], nodes: Dict[str, Any], input_layer: str) -> str:
    """The layer that answers: retrain.py's, or the last one with probabilities, or the last one of all."""
    behind = [node for node in last if input_layer and input_layer in _needed_by(node, nodes)]
    probable = [node for node in behind if any("softmax" in name.lower() for name in [node] + list(nodes[node].input))]
    return (["final_result"] if "final_result" in behind else probable or behind or [""])[-1]


def _needed_by(name: str, nodes: Dict[str, Any]) -> Set[str]:
    needed: Set[str] = set()
    waiting: List[str] = [name]
    while waiting:
        name = waiting.pop()
        if name not in needed:
            needed.add(name)
            waiting += [node_of(source) for source in nodes[name].input]
    return needed


def _range_of_values(graph_def: Any, input_layer: str) -> Tuple[float, float, str]:
    """(mean, std, where they come from): a graph does not say what was done to the pictures it learned from."""
    names = [node.name for node in graph_def.node]
    if any(name.startswith(OWN) for name in names):
        return 128.0, 128.0, "The lab exported this graph, and its graphs take mean 128 and std 128."
    if input_layer == "Mul":
        return 128.0, 128.0, "It takes pictures at `Mul`, as Inception v3 of 2015, with mean 128 and std 128."
    if any("mobilenet" in name.lower() for name in names):
        return 127.5, 127.5, "It is a MobileNet, and those learn with mean 127.5 and std 127.5."
    return 127.5, 127.5, GUESS


def _parameters(graph_def: Any) -> int:
    """How many numbers its constants hold; shapes and single numbers left out."""
    import tensorflow as tf

    count = 0
    for node in graph_def.node:
        if node.op == "Const" and node.attr["value"].tensor.tensor_shape.dim:
            dtype = tf.as_dtype(node.attr["value"].tensor.dtype)
            if dtype.is_floating or dtype.is_quantized:
                count += int(np.prod([dim.size for dim in node.attr["value"].tensor.tensor_shape.dim], dtype=np.int64))
    return count


def _shape(tensors: Any) -> Optional[List[Optional[int]]]:
    return tensors[0].shape.as_list() if tensors and tensors[0].shape.rank is not None else None


def _modern_version(part: Any) -> None:
    part.versions.producer = max(part.versions.producer, 9)  # 8 knew the operation that _batch_norm replaces; see there


def _modern(part: Any, node: Any, nodes: Dict[str, Any], entry: str) -> None:
    """Append a node to the graph, in today's words and free of the machine that it was made on."""
    import tensorflow as tf

    try:
        if node.op == "BatchNormWithGlobalNormalization":
            _batch_norm(part, node, nodes)
            return
        if node.op == "Dequantize" and all(nodes[node_of(source)].op == "Const" for source in node.input):
            _add_constant(part, node.name, _dequantized(node, nodes))
            return
    except (ValueError, TypeError, IndexError, tf.errors.OpError) as error:
        raise GraphRefused(f"The graph is damaged at {node.name!r}: {sentence(error)}") from error
    copy = part.node.add()
    copy.CopyFrom(node)
    if node.op == "CheckNumerics":  # TFLite has no such operation
        copy.op = "Identity"
        copy.attr.pop("message", None)
    copy.device = ""
    copy.attr.pop("_class", None)  # "beside that node", which may be left out
    copy.attr.pop("_output_shapes", None)
    kept = [source for source in copy.input if source != "^" + entry]
    del copy.input[:]
    copy.input.extend(kept)


def _batch_norm(part: Any, node: Any, nodes: Dict[str, Any]) -> None:
    """BatchNormWithGlobalNormalization, gone since version 9 of graphs, as a product and a sum.

    y = (x - mean) / sqrt(variance + epsilon) * gamma + beta, where gamma only counts with scale_after_normalization.
    """
    values = []
    for source in node.input[1:5]:
        constant = _constant(source, nodes)
        if constant is None:
            raise GraphRefused(f"The batch normalisation {node.name!r} has no constants as its parameters.")
        values.append(constant.astype(np.float64))
    mean, variance, beta, gamma = values
    scale = 1 / np.sqrt(variance + node.attr["variance_epsilon"].f)
    if node.attr["scale_after_normalization"].b:
        scale = scale * gamma
    product = node.name + "/bottleneck_lab_scaled"
    after = [source for source in node.input if source.startswith("^")]
    for name, op, inputs, other in (
        (product, "Mul", [node.input[0]] + after, scale),
        (node.name, "Add", [product], beta - mean * scale),
    ):
        number = name + "/bottleneck_lab_constant"
        _add_constant(part, number, other.astype(np.float32))
        added = part.node.add(name=name, op=op, input=[inputs[0], number] + inputs[1:])
        added.attr["T"].CopyFrom(node.attr["T"])


def _dequantized(node: Any, nodes: Dict[str, Any]) -> np.ndarray:
    """The float32 values of weights that are stored in 8 bits: TFLite has no such operation."""
    import tensorflow as tf

    with tf.init_scope():  # at once, although a function may be under construction
        values = []
        for source in node.input[:3]:
            tensor = nodes[node_of(source)].attr["value"].tensor
            values.append(tf.io.parse_tensor(tensor.SerializeToString(), tf.as_dtype(tensor.dtype)))
        mode = node.attr["mode"].s.decode() or "MIN_COMBINED"
        return tf.raw_ops.Dequantize(input=values[0], min_range=values[1], max_range=values[2], mode=mode).numpy()


def _add_constant(part: Any, name: str, value: np.ndarray) -> None:
    import tensorflow as tf

    added = part.node.add(name=name, op="Const")
    added.attr["dtype"].type = tf.as_dtype(value.dtype).as_datatype_enum
    added.attr["value"].tensor.CopyFrom(tf.make_tensor_proto(value))


def _constant(source: str, nodes: Dict[str, Any]) -> Optional[np.ndarray]:
    """The value of a Const, also behind Identity; None where it is something else."""
    import tensorflow as tf

    node = nodes[node_of(source)]
    for _ in range(10):
        if node.op == "Const":
            return tf.make_ndarray(node.attr["value"].tensor)
        if node.op != "Identity":
            break
        node = nodes[node_of(node.input[0])]
    return None


def _scan(name: str, data: bytes) -> None:
    """Refuse what cannot be a GraphDef, or has too many nodes, before the parser makes objects of it all.

    A GraphDef is nodes (field 1), functions (2) and versions (3, 4), each with its length in front.
    """
    at, nodes = 0, 0
    while at < len(data):
        key, at = _varint(data, at)
        if key & 7 == 2:
            length, at = _varint(data, at)
            at += length
        elif key & 7 == 0:
            _, at = _varint(data, at)
        else:
            break
        if key >> 3 not in (1, 2, 3, 4, 5):
            break
        nodes += key == 0x0A
        if nodes > NODE_LIMIT:
            raise GraphRefused(f"{name} has more than {NODE_LIMIT:,} nodes.")
    if not nodes or at != len(data):
        raise GraphRefused(f"{name} is no TensorFlow graph, or one that was cut off.")


def _varint(data: bytes, at: int) -> Tuple[int, int]:
    """(the number, where it ends); behind the end of the data for one that does not end."""
    value, shift = 0, 0
    while at < len(data) and shift < 64:
        byte = data[at]
        value |= (byte & 127) << shift
        at, shift = at + 1, shift + 7
        if byte < 128:
            return value, at
    return 0, len(data) + 1


def _constant_bytes(node: Any, name: str) -> int:
    """What a constant takes in memory, from its shape: the file may hold one value for all of them."""
    import tensorflow as tf

    tensor = node.attr["value"].tensor
    count = 1
    for dimension in tensor.tensor_shape.dim:
        if dimension.size < 0:
            raise GraphRefused(f"{name} is damaged: its constant {node.name!r} has no size.")
        count *= dimension.size
    try:
        return count * max(1, tf.as_dtype(tensor.dtype).size) + len(tensor.tensor_content)
    except TypeError:
        raise GraphRefused(f"{name} is damaged: its constant {node.name!r} has no type.") from None


def _refuse_recursion(functions: Dict[str, Any], name: str) -> None:
    calls = {
        each: {other for node in function.node_def for other in called(node) if other in functions}
        for each, function in functions.items()
    }
    while calls:  # take away those that call nobody who is left
        done = {each for each, others in calls.items() if not others & set(calls)}
        if not done:
            raise GraphRefused(f"{name} has functions that call themselves without end.")
        calls = {each: others for each, others in calls.items() if each not in done}


def called(node: Any) -> Iterator[str]:
    """The names of the functions that a node calls; its own operation may be one."""
    yield node.op
    for value in node.attr.values():
        if value.HasField("func"):
            yield value.func.name
        for function in value.list.func:
            yield function.name


def tensor_name(layer: str) -> str:
    """ "input" and "input:0" -> "input:0"."""
    name, colon, index = layer.rpartition(":")
    return layer if colon and index.isdigit() else layer + ":0"


def node_of(tensor: str) -> str:
    """The node of an input: "Mul", "Mul:1", "^Mul" -> "Mul"."""
    return tensor_name(tensor).rpartition(":")[0].lstrip("^")


def _what_it_has(graph_def: Any, layer: str) -> str:
    names = [node.name for node in graph_def.node if node.op != "Const"]
    close = difflib.get_close_matches(node_of(layer), names[:5000], 3)
    ends = [node.name for node in graph_def.node if node.op.startswith("Placeholder")][:3] + last_layers(graph_def)[-3:]
    return f"It has {_listed([repr(name) for name in list(collections.OrderedDict.fromkeys(close + ends))])}."


def last_layers(graph_def: Any) -> List[str]:
    """The nodes whose value no other node takes, in the file's order."""
    consumed = {node_of(source) for node in graph_def.node for source in node.input}
    return [node.name for node in graph_def.node if node.name not in consumed and node.op not in ("Const", "NoOp")]


def _listed(words: List[str]) -> str:
    if len(words) > 6:
        words = words[:5] + [f"{len(words) - 5} others"]
    return words[0] if len(words) == 1 else ", ".join(words[:-1]) + " and " + words[-1] if words else "nothing"


def sentence(error: Exception) -> str:
    text = str(error).strip().split("\n")[0][:300]
    return text if text.endswith(".") else text + "."


def _mb(size: int) -> str:
    return f"{size / 1e6:,.0f} MB"


if __name__ == "__main__":
    try:
        print(json.dumps(facts(sys.argv[1])))
    except GraphRefused as error:
        print(json.dumps({"error": str(error)}))
