"""What writes a .tflite file and what runs one here. Python 3.6."""

import warnings
from typing import Any, Callable, Iterator, List, Optional, Tuple

import numpy as np

from engine.contract.run_folder import write_bytes


class NotConvertible(Exception):
    """TFLite has no words for this network."""


def interpreter() -> Tuple[Any, str]:
    """The class that runs a .tflite file, and its name for people: LiteRT where installed, TensorFlow's otherwise."""
    try:
        from ai_edge_litert.interpreter import Interpreter

        return Interpreter, "LiteRT"
    except ImportError:
        import tensorflow as tf

        return tf.lite.Interpreter, f"TensorFlow {tf.__version__} Lite"


def open_file(path: str) -> Callable[[np.ndarray], np.ndarray]:
    """The file's function, on one thread: what goes in, (1, ...) float32 -> its first output of that one, (...,)."""
    found = interpreter()[0](model_path=path, num_threads=1)
    found.allocate_tensors()
    entry, result = found.get_input_details()[0]["index"], found.get_output_details()[0]["index"]

    def run(value: np.ndarray) -> np.ndarray:
        found.set_tensor(entry, value)
        found.invoke()
        return found.get_tensor(result)[0]

    return run


def keep(
    path: str,
    function: Callable[[Any], Any],
    shape: List[int],
    samples: Optional[Callable[[], Iterator[np.ndarray]]] = None,
) -> None:
    """Convert a function of float32 of that shape and write it, whole or not at all. Raises NotConvertible.

    With `samples`, inputs as they will come, weights and activations become 8 bits, scaled by what the samples need;
    what goes in and comes out stays float32.
    """
    import tensorflow as tf

    graph = tf.function(function, input_signature=[tf.TensorSpec(shape, tf.float32)], autograph=False)
    converter = tf.lite.TFLiteConverter.from_concrete_functions([graph.get_concrete_function()])
    if samples:
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
        converter.representative_dataset = lambda: ([sample] for sample in samples())
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of what newer versions would rather be given
            model = converter.convert()
    except Exception as error:  # the converter's own error class has moved between the versions
        raise NotConvertible(str(error)) from error
    write_bytes(path, model)
