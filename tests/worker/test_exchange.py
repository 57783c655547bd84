"""An exported model holds nothing that another TensorFlow could refuse, and each way into it gives the same answer.

That other interpreters do load it is tested in tests/engine/test_models.py and tests/browser/test_two_interpreters.py.
"""

import os

import numpy as np

from engine.contract.run_folder import LabHome
from engine.worker import export
from engine.worker.formats import tflite

PIXELS = np.random.RandomState(8).randint(0, 256, (1, 200, 310, 3)).astype(np.uint8)


def answers(folder):
    """The probabilities of every way in: bytes of any size, floats of any size, TFLite at the model's size."""
    import tensorflow as tf

    signatures = tf.saved_model.load(folder.saved_model).signatures
    square = export.resize_bytes(PIXELS, 224).numpy()
    interpreter = tflite.interpreter()[0](model_path=folder.tflite)
    interpreter.allocate_tensors()
    interpreter.set_tensor(interpreter.get_input_details()[0]["index"], square)
    interpreter.invoke()
    return np.stack(
        [
            signatures["serving_default"](images=tf.constant(PIXELS))["probabilities"].numpy()[0],
            signatures["float"](images=tf.constant(square))["probabilities"].numpy()[0],
            interpreter.get_tensor(interpreter.get_output_details()[0]["index"])[0],
        ]
    )


def test_every_way_into_an_exported_model_gives_the_same_answer(mobilenet, tmp_path):
    folder = LabHome(str(tmp_path)).run("run")
    os.makedirs(folder.artifacts)
    weights = np.random.RandomState(0).randn(1280, 4).astype(np.float32) * 0.05
    export.write_saved_model(folder, mobilenet, weights, np.zeros(4, np.float32))
    export.write_tflite(folder.tflite, mobilenet, weights, np.zeros(4, np.float32))
    said = answers(folder)
    assert np.allclose(said.sum(axis=1), 1)
    assert np.abs(said - said[0]).max() <= 1e-4


def test_the_saved_model_holds_constants_alone(mobilenet, tmp_path):
    import tensorflow as tf

    folder = LabHome(str(tmp_path)).run("run")
    os.makedirs(folder.artifacts)
    export.write_saved_model(folder, mobilenet, np.zeros((1280, 2), np.float32), np.zeros(2, np.float32))
    loaded = tf.saved_model.load(folder.saved_model)
    assert list(loaded.signatures) == ["serving_default", "float"]
    assert loaded.signatures["serving_default"].structured_input_signature[1]["images"].dtype == tf.uint8
    for function in loaded.signatures.values():
        assert function.variables == () or list(function.variables) == []
        kinds = {node.op for inner in function.graph.as_graph_def().library.function for node in inner.node_def}
        assert not {kind for kind in kinds if "Variable" in kind or kind == "DisableCopyOnRead"}
