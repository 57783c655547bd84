"""The files that a worker exports, made in milliseconds: TFLite files that answer, and others that only have a name.

A photo is answered by its mean colour: each label has one, and the nearest is the most probable. The labels of
tests/photo_folders.py have the colours of their photos, so that they are answered rightly.
"""

import os
import struct
import zlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from ai_edge_litert import schema_py_generated as schema

from tests.photo_folders import COLOURS
from tests.tiny_tflite import TINY

SOFTNESS = 1000.0  # squared levels by which the distances to two labels differ where one is e times as probable
DARK, COVERED = 20, 0.39  # level and share of the rectangle that draw_photos puts over each photo


def photo_model(labels: Sequence[str], size: int, padding: int = 0) -> bytes:
    """A TFLite file: RGB (1, size, size, 3) float32, 0..255 -> probabilities (1, labels); so many bytes longer."""
    colours = np.array([_colour(label) for label in labels], np.float32)  # (labels, 3)
    weights, bias = 2 * colours / SOFTNESS, -(colours**2).sum(axis=1) / SOFTNESS
    count = len(labels)
    shapes = {
        "input": [1, size, size, 3],
        "axes": [2],
        "mean": [1, 3],
        "weights": [count, 3],
        "bias": [count],
        "logits": [1, count],
        "final_result": [1, count],
    }
    data = {"axes": np.array([1, 2], np.int32), "weights": weights, "bias": bias.astype(np.float32)}
    model = schema.ModelT()
    model.version, model.description = 3, "the mean colour of a photo"
    model.buffers = [schema.BufferT()]
    graph = schema.SubGraphT()
    graph.tensors, places = [], {}
    for place, (name, shape) in enumerate(shapes.items()):
        tensor = schema.TensorT()
        tensor.name, tensor.shape, tensor.buffer = name, shape, 0
        tensor.type = schema.TensorType.INT32 if name == "axes" else schema.TensorType.FLOAT32
        if name in data:
            tensor.buffer = len(model.buffers)
            model.buffers.append(_buffer(data[name].tobytes()))
        graph.tensors.append(tensor)
        places[name] = place
    if padding:
        model.buffers.append(_buffer(bytes(padding)))
    operator, options = schema.BuiltinOperator, schema.BuiltinOptions
    dense, softmax = schema.FullyConnectedOptionsT(), schema.SoftmaxOptionsT()
    softmax.beta = 1.0
    model.operatorCodes, graph.operators = [], []
    for code, kind, option, reads, writes in (
        (operator.MEAN, options.ReducerOptions, schema.ReducerOptionsT(), ("input", "axes"), "mean"),
        (operator.FULLY_CONNECTED, options.FullyConnectedOptions, dense, ("mean", "weights", "bias"), "logits"),
        (operator.SOFTMAX, options.SoftmaxOptions, softmax, ("logits",), "final_result"),
    ):
        written = schema.OperatorCodeT()
        written.builtinCode, written.deprecatedBuiltinCode, written.version = code, code, 1
        step = schema.OperatorT()
        step.opcodeIndex, step.builtinOptionsType, step.builtinOptions = len(graph.operators), kind, option
        step.inputs, step.outputs = [places[name] for name in reads], [places[writes]]
        model.operatorCodes.append(written)
        graph.operators.append(step)
    graph.inputs, graph.outputs = [places["input"]], [places["final_result"]]
    model.subgraphs = [graph]
    builder = schema.flatbuffers.Builder(4096 + padding)
    builder.Finish(model.Pack(builder), b"TFL3")
    return bytes(builder.Output())


def _buffer(data: bytes) -> schema.BufferT:
    buffer = schema.BufferT()
    buffer.data = np.frombuffer(data, np.uint8)
    return buffer


def _colour(label: str) -> np.ndarray:
    """The mean colour of the photos of that label, RGB 0..255; any colour where they are not drawn here."""
    hashed = zlib.crc32(label.encode())
    drawn = COLOURS.get(label, (hashed & 255, hashed >> 8 & 255, hashed >> 16 & 255))
    return (1 - COVERED) * np.array(drawn) + COVERED * DARK


def digit_model() -> bytes:
    """A TFLite file: gray (1, 28, 28) float32, 0..255 -> probabilities (1, 10)."""
    return TINY


def write_saved_model(path: str) -> None:
    """A folder with the names of a SavedModel's files; nothing can load it."""
    for name in ("assets", "variables"):
        os.makedirs(os.path.join(path, name))
    for name in (
        "saved_model.pb",
        "fingerprint.pb",
        "variables/variables.index",
        "variables/variables.data-00000-of-00001",
    ):
        Path(path, name).write_bytes(b"no model" * (8000 if name == "saved_model.pb" else 1))


def write_summaries(path: str) -> None:
    """TensorBoard's files of one lane, begun and without a point."""
    for writer in ("train", "validation"):
        os.makedirs(os.path.join(path, writer))
        Path(path, writer, f"events.out.tfevents.1.fake.{os.getpid()}").write_bytes(_record(b"\x1a\rbrain.Event:2"))


def _record(event: bytes) -> bytes:
    """One record of such a file."""
    length = struct.pack("<Q", len(event))
    return length + _masked(length) + event + _masked(event)


def _masked(data: bytes) -> bytes:
    """The checksum that follows data in a record."""
    crc = 0xFFFFFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0x82F63B78 if crc & 1 else 0)
    crc ^= 0xFFFFFFFF
    return struct.pack("<I", ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF)
