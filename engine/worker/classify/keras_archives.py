"""Uploaded Keras archives (.keras): looked at, loaded in safe mode, and frozen.

Safe mode refuses code that came with the archive, and in the past let through what looked like a layer and was a
function of some module, layers that read files, and weights that lay in another file. So here the archive holds its
three files and no others, its configuration names what is listed below and nothing else, and its weights are plain
data. What the network computes then becomes a frozen graph, checked like any other. Python 3.6, though Keras 3 needs a
later one.
"""

import io
import json
import re
import zipfile
from typing import Any, Dict, List, Optional, Tuple

import numpy as np

from engine.worker import machine
from engine.worker.classify import models
from engine.worker.classify.models import Refused
from engine.worker.formats import graphs

MEMBERS = {"metadata.json", "config.json", "model.weights.h5"}
CONFIG_LIMIT = 16 << 20  # bytes
# What a configuration may name: modules, and of keras.layers those that compute and read no files. None of them runs
# code that came with the archive.
MODULES = re.compile(
    r"keras(\.(initializers|regularizers|constraints|activations|dtype_policies|optimizers|losses|metrics|layers|models))?$"
    r"|keras\.src\.models\.(functional|sequential|model)$|keras\.src\.ops\.(numpy|nn|image)$"
)
OF_KERAS = {"DTypePolicy", "Functional", "Sequential", "Model"}  # of the module `keras` itself
PLAIN = {"__keras_tensor__", "__numpy__", "__tensor__", "__slice__", "__ellipsis__"}  # values, named without a module
LAYERS = graphs.words(
    "InputLayer Activation Dense Conv1D Conv2D DepthwiseConv2D SeparableConv2D Conv2DTranspose Identity Flatten",
    "BatchNormalization LayerNormalization GroupNormalization UnitNormalization SpectralNormalization",
    "MaxPooling2D AveragePooling2D GlobalAveragePooling2D GlobalMaxPooling2D GlobalAveragePooling1D",
    "AdaptiveAveragePooling2D AdaptiveMaxPooling2D ReLU LeakyReLU PReLU ELU Softmax",
    "Dropout SpatialDropout1D SpatialDropout2D GaussianNoise GaussianDropout AlphaDropout ActivityRegularization",
    "Add Subtract Multiply Average Maximum Minimum Concatenate Dot Reshape Permute RepeatVector",
    "ZeroPadding2D Cropping2D UpSampling2D Rescaling Normalization Resizing CenterCrop",
    "RandomCrop RandomFlip RandomRotation RandomZoom RandomTranslation RandomContrast RandomBrightness",
    "MultiHeadAttention Attention Embedding TimeDistributed StochasticDepth",
)
FREEZING = 1e-3  # largest difference between the archive and its frozen graph that is rounding


def look(
    path: str, data: bytes, given: Dict[str, Any], memory: Optional[int], graph_path: str
) -> Tuple[Dict[str, Any], str]:
    """As tflite_files.look; writes the frozen graph that answers from now on. Raises Refused and GraphRefused."""
    config = read(data)

    import tensorflow as tf

    machine.bound_tensorflow()
    version = getattr(tf.keras, "__version__", "2")
    if int(version.split(".")[0]) < 3:
        raise Refused(
            f"The Keras of this worker, {version} in TensorFlow {tf.__version__}, cannot read .keras archives, which "
            "began with Keras 3. Upload the model as a frozen graph or as a TFLite file."
        )
    machine.bound_memory(memory)
    try:
        model = tf.keras.models.load_model(path, compile=False, safe_mode=True)
    except Exception as error:  # whatever a damaged configuration leads to
        raise Refused(f"The archive cannot be loaded: {graphs.sentence(error)}") from error
    if len(model.inputs) != 1 or len(model.outputs) != 1:
        raise Refused(
            f"The model has {len(model.inputs)} inputs and {len(model.outputs)} outputs; a classifier of "
            "pictures has one of each."
        )  # fmt: skip
    shape = list(model.inputs[0].shape)
    if len(shape) != 4 or shape[3] not in (None, 3) or "float" not in str(model.inputs[0].dtype):
        text = "The model takes {} of the shape {}; the lab gives it float pictures, (N, height, width, 3)."
        raise Refused(text.format(model.inputs[0].dtype, shape))
    height, width = shape[1] or given.get("input_height", 224), shape[2] or given.get("input_width", 224)
    models.same_size(given, height, width)
    guess = []
    if None in shape[1:3] and not ("input_height" in given and "input_width" in given):
        guess.append(f"The model takes pictures of any size; {width} x {height} is a guess.")
    mean, std = (0.0, 1.0) if _rescales(config) else (127.5, 127.5)
    if std != 1.0 and not ("input_mean" in given and "input_std" in given):
        guess.append("Mean 127.5 and std 127.5 are a guess: the archive does not say what it learned with.")
    entry, result = _freeze(model, graph_path, height, width)
    found = {
        "input_layer": entry,
        "output_layer": result,
        "input_height": height,
        "input_width": width,
        "input_mean": mean,
        "input_std": std,
        "parameters": int(model.count_params()),
    }
    return found, " ".join(guess)


def read(data: bytes) -> Any:
    """Its configuration, once nothing in the archive is more than it should be. Raises Refused."""
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            members = archive.infolist()
            names = [member.filename for member in members]
            if sorted(names) != sorted(MEMBERS):
                raise Refused(
                    "The file is a zip, but no Keras archive: that has {} in it, and this has {}.".format(
                        ", ".join(sorted(MEMBERS)), ", ".join(repr(name[:60]) for name in names[:5]) or "nothing"
                    )
                )
            sizes = {member.filename: member.file_size for member in members}
            if sizes["config.json"] > CONFIG_LIMIT or max(sizes.values()) > graphs.FILE_LIMIT:
                raise Refused(f"The archive unfolds to more than {graphs.FILE_LIMIT / 1e6:,.0f} MB.")
            config = json.loads(archive.read("config.json").decode("utf-8"))
            _refuse_foreign(config)
            _check_weights(archive.read("model.weights.h5"))
    except RecursionError:
        raise Refused("The archive's configuration is nested without end. It is not loaded.") from None
    except (zipfile.BadZipFile, ValueError, KeyError, RuntimeError, NotImplementedError, EOFError, OSError) as error:
        raise Refused(f"The archive is damaged: {graphs.sentence(error)}") from error
    return config


def _refuse_foreign(config: Any) -> None:
    """Raise Refused where a configuration names something that is not known to compute and nothing else."""
    if not isinstance(config, dict) or "class_name" not in config:
        raise Refused("The archive's configuration describes no model.")
    for each in _named(dict(config, compile_config=None)):
        module, word = each.get("module"), str(each["class_name"])
        if module is None and word in PLAIN:
            continue
        if isinstance(module, str) and MODULES.match(module) and re.match("[A-Z][A-Za-z0-9]*$", word):
            known = {"keras": OF_KERAS, "keras.layers": LAYERS}.get(module)
            if known is None or word in known:
                continue
        raise Refused(
            f"The archive names {word[:60]!r} of {str(module)[:60]!r}, which can run code or read files, or which the "
            "lab does not know. It is not loaded."
        )


def _named(value: Any) -> Any:
    if isinstance(value, dict):
        if "class_name" in value:
            yield value
        value = list(value.values())
    if isinstance(value, list):
        for each in value:
            yield from _named(each)


def _check_weights(data: bytes) -> None:
    """Raise Refused where the weights' file leads elsewhere, or unfolds to more than it should."""
    import h5py

    total = 0
    waiting: List[Any] = []
    with h5py.File(io.BytesIO(data), "r") as file:
        waiting.append(file)
        seen = 0
        while waiting:
            group = waiting.pop()
            for name in group:
                seen += 1
                if not isinstance(group.get(name, getlink=True), h5py.HardLink):
                    raise Refused(f"The archive's weights contain a link, {name!r}. It is not loaded.")
                found = group[name]
                if isinstance(found, h5py.Group):
                    waiting.append(found)
                elif isinstance(found, h5py.Dataset):
                    if found.external or found.is_virtual:
                        raise Refused("The archive keeps its weights in other files, which the lab does not read.")
                    total += found.size * found.dtype.itemsize
                if total > graphs.CONSTANT_LIMIT or seen > graphs.NODE_LIMIT:
                    raise Refused(
                        f"The archive's weights unfold to more than {graphs.CONSTANT_LIMIT / 1e6:,.0f} "
                        "MB."
                    )  # fmt: skip


def _rescales(config: Any) -> bool:
    """Whether one of its layers brings RGB 0..255 into the range that it learned with."""
    return any(each["class_name"] in ("Rescaling", "Normalization") for each in _named(config))


def _freeze(model: Any, path: str, height: int, width: int) -> Tuple[str, str]:
    """Write the archive's graph of constants. Returns its input and output layer. Raises Refused and GraphRefused."""
    import tensorflow as tf
    from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2

    spec = tf.TensorSpec([1, height, width, 3], tf.float32, name="pictures")
    try:
        function = tf.function(
            lambda pictures: model(pictures, training=False), input_signature=[spec], autograph=False
        )
        constant = convert_variables_to_constants_v2(function.get_concrete_function(), lower_control_flow=False)
    except Exception as error:  # Keras raises nearly anything
        raise Refused(f"The model cannot take a picture of {width} x {height}: {graphs.sentence(error)}") from error
    graph_def = constant.graph.as_graph_def()
    entry, result = [tensors[0].name.rpartition(":")[0] for tensors in (constant.inputs, constant.outputs)]
    graphs.check(graph_def, "The model")
    with open(path, "wb") as file:
        file.write(graph_def.SerializeToString())
    picture = np.random.RandomState(0).uniform(0, 1, (1, height, width, 3)).astype(np.float32)
    theirs = np.asarray(model(picture, training=False))
    ours = graphs.call(graph_def, entry, picture, result).numpy()
    if not np.abs(ours - theirs).max() <= FREEZING * max(1.0, np.abs(theirs).max()):
        raise Refused("The model's frozen graph does not answer as the model does.")
    return entry, result
