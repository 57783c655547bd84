"""Uploaded TFLite files, looked at before they are run.

TFLite's own operations compute and nothing else. A custom one may be any of TensorFlow's ("Flex"), which read and write
files, and a delegate is a program, so a file with one of these is refused before an interpreter sees it. Python 3.6.
"""

import struct
from typing import Any, Dict, Optional, Tuple

import numpy as np

from engine.worker import machine
from engine.worker.classify import models
from engine.worker.classify.models import Refused
from engine.worker.formats import graphs, tflite

GUESS = "Mean 127.5 and std 127.5 are a guess: TFLite files do not say what they learned with."
NOT_OURS = ("CUSTOM", "DELEGATE", "STABLEHLO_CUSTOM_CALL")
NUMBERS = ("FLOAT32", "FLOAT16", "INT8", "UINT8")


def look(path: str, data: bytes, given: Dict[str, Any], memory: Optional[int]) -> Tuple[Dict[str, Any], str]:
    """What an uploaded file tells of itself, fields of keys.Uploaded, and what about it is a guess, "" for nothing.

    `given`: what was said of it; `memory`: bytes that this process may take for it. Raises Refused.
    """
    interpreter_class, _ = tflite.interpreter()
    machine.bound_memory(memory)
    try:
        parameters = constants(data)
        interpreter = interpreter_class(model_path=path, num_threads=1)
        interpreter.allocate_tensors()
        inputs, outputs = interpreter.get_input_details(), interpreter.get_output_details()
    except (struct.error, IndexError, TypeError, ValueError, RuntimeError, OverflowError) as error:
        raise Refused(
            "The file is no TFLite file that can be read, or a damaged one: "
            f"{graphs.sentence(error)}"
        ) from error  # fmt: skip
    if len(inputs) != 1 or len(outputs) != 1:
        raise Refused(
            f"The file has {len(inputs)} inputs and {len(outputs)} outputs; a classifier of pictures has "
            "one of each."
        )  # fmt: skip
    entry = inputs[0]
    shape = [int(length) for length in entry["shape"]]
    kind = np.dtype(entry["dtype"]).name
    if len(shape) != 4 or shape[0] != 1 or shape[3] != 3 or kind not in ("float32", "uint8", "int8"):
        raise Refused(
            f"The file takes {kind} of the shape {shape}; the lab gives it one picture, (1, height, "
            "width, 3)."
        )  # fmt: skip
    if -1 in [int(length) for length in entry.get("shape_signature", shape)][1:3]:
        raise Refused("The file takes pictures of any size. Convert it for one size, and upload that.")
    models.same_size(given, shape[1], shape[2])
    mean, std, guess = (
        127.5,
        127.5,
        "Mean 127.5 and std 127.5 are a guess: TFLite files do not say what they learned with.",
    )
    if kind != "float32" and entry["quantization"][0]:
        scale, zero = entry["quantization"]
        low = np.iinfo(kind).min  # of its levels: the lab gives it RGB 0..255 as levels
        mean, std, guess = float(zero - low), 1 / float(scale), ""
    elif entry["name"] == "rgb":  # as in the files that the lab exports
        mean, std, guess = 0.0, 1.0, ""
    if "input_mean" in given and "input_std" in given:
        guess = ""
    found = {
        "input_layer": entry["name"],
        "output_layer": outputs[0]["name"],
        "input_height": shape[1],
        "input_width": shape[2],
        "input_mean": mean,
        "input_std": std,
        "parameters": parameters,
    }
    return found, guess


def constants(data: bytes) -> int:
    """How many numbers its constants hold. Raises Refused where an operation is none of TFLite's own."""
    try:
        from ai_edge_litert import schema_py_generated as schema
    except ImportError:
        from tensorflow.lite.python import schema_py_generated as schema

    words = {value: name for name, value in vars(schema.BuiltinOperator).items() if isinstance(value, int)}
    kinds = {value: name for name, value in vars(schema.TensorType).items() if isinstance(value, int)}
    model = schema.Model.GetRootAsModel(data, 0)
    if getattr(model, "ExternalBufferGroupsLength", int)() or getattr(model, "ExternalBuffersLength", int)():
        raise Refused("The file keeps its weights in other files, which the lab does not read.")
    _bounded(model.OperatorCodesLength(), "kinds of operations")
    for number in range(model.OperatorCodesLength()):
        code = model.OperatorCodes(number)
        word = words.get(max(code.BuiltinCode(), code.DeprecatedBuiltinCode()), "an unknown operation")
        custom = code.CustomCode()
        if custom or word in NOT_OURS or word not in words.values():
            what = custom.decode(errors="replace")[:60] if custom else word
            raise Refused(
                f"The file uses {what}, which is none of TFLite's own operations and may do anything. It is not run. "
                "Convert the model with TFLite's own operations alone."
            )
        if "WHILE" in word:
            raise Refused(f"The file uses {word}: loops, which need not end. It is not run.")
    _bounded(model.SubgraphsLength(), "graphs")
    parameters = 0
    for number in range(model.SubgraphsLength()):
        graph = model.Subgraphs(number)
        _bounded(graph.OperatorsLength(), "operations")
        _bounded(graph.TensorsLength(), "tensors")
        for at in range(graph.TensorsLength()):
            tensor = graph.Tensors(at)
            shape = [tensor.Shape(axis) for axis in range(min(8, tensor.ShapeLength()))]
            if kinds.get(tensor.Type()) in NUMBERS and model.Buffers(tensor.Buffer()).DataLength():
                parameters += int(np.prod(shape, dtype=np.int64)) if shape else 0
    return parameters


def _bounded(count: int, what: str) -> None:
    if count > graphs.NODE_LIMIT:
        raise Refused(f"The file has more than {graphs.NODE_LIMIT:,} {what}.")
