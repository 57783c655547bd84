"""Reads the weights in a legacy PyTorch file (before version 1.6: pickles and raw storages, no zip) with numpy alone.

The file is four pickles (magic number, protocol, system facts, the state dictionary), one pickle that lists the
storages' keys, and the storages. Only the handful of names that such a dictionary needs can be unpickled, so that a
file cannot run code. Python 3.6.
"""

import pickle
import struct
from collections import OrderedDict
from typing import Any, Dict, Tuple

import numpy as np

_MAGIC = 0x1950A86A20F9469CFC6C
_PROTOCOL = 1001
_DTYPES: Dict[str, np.dtype] = {
    "FloatStorage": np.dtype("<f4"),
    "DoubleStorage": np.dtype("<f8"),
    "HalfStorage": np.dtype("<f2"),
    "LongStorage": np.dtype("<i8"),
    "IntStorage": np.dtype("<i4"),
}


class _Storage:
    def __init__(self, dtype: np.dtype, count: int) -> None:
        self.dtype = dtype
        self.count = count
        self.values: Any = None


class _Tensor:
    """A view of a storage; the storage's values come later in the file."""

    def __init__(self, storage: _Storage, offset: int, shape: Tuple[int, ...], stride: Tuple[int, ...]) -> None:
        self.storage, self.offset, self.shape, self.stride = storage, offset, shape, stride

    def array(self) -> np.ndarray:
        values = self.storage.values
        last = self.offset + sum((n - 1) * step for n, step in zip(self.shape, self.stride))
        if not 0 <= self.offset <= last + 1 or last >= len(values):
            raise ValueError("a tensor reaches beyond its storage")
        strides = [step * values.itemsize for step in self.stride]
        return np.lib.stride_tricks.as_strided(values[self.offset :], self.shape, strides).copy()


def _rebuild_tensor(
    storage: _Storage, offset: int, shape: Tuple[int, ...], stride: Tuple[int, ...], *_: Any
) -> _Tensor:
    return _Tensor(storage, offset, tuple(shape), tuple(stride))


def _rebuild_parameter(data: _Tensor, *_: Any) -> _Tensor:
    return data


class _Unpickler(pickle.Unpickler):
    def __init__(self, file: Any) -> None:
        super().__init__(file)
        self.storages: Dict[str, _Storage] = {}

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) == ("collections", "OrderedDict"):
            return OrderedDict
        if module == "torch._utils" and name in ("_rebuild_tensor", "_rebuild_tensor_v2"):
            return _rebuild_tensor
        if module == "torch._utils" and name == "_rebuild_parameter":
            return _rebuild_parameter
        if module == "torch" and name in _DTYPES:
            return name
        raise pickle.UnpicklingError(f"{module}.{name} has no place in a file of weights")

    def persistent_load(self, pid: Any) -> _Storage:
        kind, storage_type, key, _, count, view = pid
        if kind != "storage" or view is not None:
            raise pickle.UnpicklingError("an entry is no plain storage")
        return self.storages.setdefault(key, _Storage(_DTYPES[storage_type], count))


def read(path: str) -> Dict[str, np.ndarray]:
    """Every tensor of the state dictionary by its name. Raises ValueError or pickle.UnpicklingError."""
    with open(path, "rb") as file:
        if _Unpickler(file).load() != _MAGIC or _Unpickler(file).load() != _PROTOCOL:
            raise ValueError(f"{path} is no legacy PyTorch file")
        if not _Unpickler(file).load()["little_endian"]:
            raise ValueError(f"{path} was written on a big-endian machine")
        unpickler = _Unpickler(file)
        tensors = unpickler.load()
        for key in _Unpickler(file).load():
            storage = unpickler.storages[key]
            (count,) = struct.unpack("<q", file.read(8))
            if count != storage.count:
                raise ValueError(f"{path} is damaged: a storage has the wrong length")
            storage.values = np.frombuffer(file.read(count * storage.dtype.itemsize), storage.dtype)
    return OrderedDict((name, tensor.array()) for name, tensor in tensors.items())
