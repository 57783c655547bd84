"""WORKER_PYTHON -m engine.worker.hub_module LAB_HOME: makes a TensorFlow Hub module a backbone of this lab.

One JSON object on stdin, one as the last line of stdout:

    {"handle": "https://tfhub.dev/google/...", "name": "", "size": null}
        handle: an address, a SavedModel's folder, or one packed as .tar.gz; name: of the backbone, made from the handle
        where empty; size: input height and width in pixels, where the module leaves it open
    {"row": {...}}                                 the row of engine/contract/catalog.py that was added
    {"error": "<a sentence>", "needs_size": true}  the same again with a size would do

Downloads are kept in LAB_HOME/backbones/.hub. What is added is the module's frozen graph, checked like any other
graph, in LAB_HOME/backbones/hub_<name>/, whole or not at all. Python 3.6.
"""

import fcntl
import json
import os
import re
import resource
import shutil
import sys
import tarfile
import tempfile
from typing import Any, Callable, Dict, NamedTuple, Optional

import numpy as np

from engine.contract import catalog
from engine.contract.run_folder import LabHome, write_json
from engine.worker.formats import graphs, saved_models
from engine.worker.formats.graphs import GraphRefused

ARCHIVES = (".tar.gz", ".tgz", ".tar")
SMALLEST, LARGEST = 16, 1024  # pixels, for height and width
# Largest difference between the module and its frozen graph that is rounding, relative to the largest output.
TOLERANCE = 1e-3


class Frozen(NamedTuple):
    graph_def: Any
    entry: str  # the layer that takes (N, size, size, 3) float32, 0..1
    result: str  # the layer with (N, width) float32
    size: int
    width: int
    classes: bool  # whether these are classes and no features
    module: Callable[[np.ndarray], np.ndarray]  # the module itself, to compare with


class NeedsSize(GraphRefused):
    """The module takes pictures of any size; somebody has to say which."""


def add(home: LabHome, handle: str, name: str = "", size: Optional[int] = None) -> catalog.Backbone:
    """The backbone that was made of a module. Raises GraphRefused or NeedsSize."""
    handle = handle.strip()
    name = name_for(name or handle)
    if size is not None and not SMALLEST <= size <= LARGEST:
        raise GraphRefused(f"A size of {size} is not possible; choose {SMALLEST} to {LARGEST} pixels.")
    cache = os.path.join(home.backbones, ".hub")
    os.makedirs(cache, exist_ok=True)
    with open(os.path.join(cache, "lock"), "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # one at a time; what lies half-done now was left by a process that died
        _tidy(home, cache)
        workplace = tempfile.mkdtemp(prefix=".part-", dir=home.backbones)
        try:
            folder = _resolve(handle, cache, workplace)
            try:
                row = _freeze(folder, workplace, name, size, _source(handle))
            except NeedsSize:
                raise
            except GraphRefused:
                if os.path.dirname(folder) == cache:  # what came may be damaged: fetch it anew the next time
                    shutil.rmtree(folder, ignore_errors=True)
                raise
            _install(os.path.join(workplace, "backbone"), os.path.join(home.backbones, name), row)
        finally:
            shutil.rmtree(workplace, ignore_errors=True)
    return row


def name_for(words: str) -> str:
    """ "https://tfhub.dev/google/x/feature_vector/4" -> "hub_google_x_feature_vector_4"."""
    path = re.sub(r"^[a-z]+://[^/]*/", "", words)
    if path == words and os.path.exists(words):
        path = os.path.basename(os.path.normpath(words))  # of this machine's own paths, only the last part
    path = re.sub(r"\.(tar\.gz|tgz|tar)$", "", path.split("?")[0])
    path = re.sub(r"^hub_", "", path)
    word = re.sub("[^a-z0-9]+", "_", path.lower()).strip("_")[-60:].strip("_")
    if not word:
        raise GraphRefused(f"{words!r} gives no name for a backbone. Name it with letters a to z and digits.")
    return "hub_" + word


def _source(handle: str) -> str:
    """The handle for people: an address whole, of a path only the last part."""
    return handle if _is_address(handle) else os.path.basename(os.path.normpath(handle))


def _is_address(handle: str) -> bool:
    return handle.startswith(("https://", "http://"))


def _tidy(home: LabHome, cache: str) -> None:
    """Take away what a killed process left half-done; TF-Hub would wait ten minutes for such a download."""
    for each in os.listdir(cache):
        path = os.path.join(cache, each)
        if each.endswith(".lock"):
            os.remove(path)
        elif each.endswith(".tmp"):
            shutil.rmtree(path, ignore_errors=True)
    for each in os.listdir(home.backbones):
        if each.startswith(".part-"):
            shutil.rmtree(os.path.join(home.backbones, each), ignore_errors=True)


def _resolve(handle: str, cache: str, workplace: str) -> str:
    """The folder of the SavedModel, which may be anything so far."""
    if _is_address(handle):
        return _download(handle, cache)
    if os.path.isdir(handle):
        return os.path.abspath(handle)
    if os.path.isfile(handle) and handle.endswith(ARCHIVES):
        return _unpack(handle, os.path.join(workplace, "unpacked"))
    raise GraphRefused(
        f"{handle!r} is no module. Give an address that begins with https://, the folder of a SavedModel, or one "
        "packed as .tar.gz."
    )


def _download(handle: str, cache: str) -> str:
    os.environ["TFHUB_CACHE_DIR"] = cache
    import tensorflow_hub as hub

    try:
        return str(hub.resolve(handle))
    except Exception as error:  # urllib's, tarfile's, TensorFlow's and TF-Hub's own errors
        raise GraphRefused(
            f"The module cannot be fetched from {handle}: {graphs.sentence(error)} A folder or a .tar.gz of it can be "
            "added in its place."
        ) from error


def _unpack(path: str, folder: str) -> str:
    """Unpack an archive of nothing but files and folders. Returns the folder in it that holds the SavedModel."""
    name = os.path.basename(path)
    os.makedirs(folder)
    files = size = 0
    try:
        with tarfile.open(path) as archive:
            for member in archive:
                parts = member.name.split("/")
                if member.name.startswith("/") or ".." in parts or "\\" in member.name or "\0" in member.name:
                    raise GraphRefused(f"{name} contains a path that leads out of it, {member.name!r}.")
                if not (member.isfile() or member.isdir()):
                    raise GraphRefused(f"{name} contains a link or a device, {member.name!r}.")
                files, size = files + 1, size + member.size
                if files > saved_models.FILES_LIMIT or size > saved_models.FOLDER_LIMIT:
                    raise GraphRefused(
                        f"{name} has more than {saved_models.FILES_LIMIT:,} files, or unfolds to more than "
                        f"{saved_models.FOLDER_LIMIT / 1e6:,.0f} MB."
                    )
                target = os.path.join(folder, *parts)
                os.makedirs(target if member.isdir() else os.path.dirname(target), exist_ok=True)
                if member.isfile():
                    source = archive.extractfile(member)
                    assert source
                    with open(target, "wb") as file:
                        shutil.copyfileobj(source, file)
    except (tarfile.TarError, EOFError, ValueError, OSError) as error:  # gzip and zlib raise OSError and EOFError
        raise GraphRefused(f"{name} cannot be unpacked: {graphs.sentence(error)}") from error
    inside = os.listdir(folder)
    if len(inside) == 1 and os.path.isdir(os.path.join(folder, inside[0])):
        return os.path.join(folder, inside[0])
    return folder


def _freeze(folder: str, workplace: str, name: str, size: Optional[int], source: str) -> catalog.Backbone:
    """Write the module's frozen graph and its row to workplace/backbone."""
    checked = saved_models.check(folder)

    import tensorflow as tf

    try:
        frozen = (_frozen_tf1 if checked.of_tf1 else _frozen_tf2)(folder, checked, size)
    except GraphRefused:
        raise
    except Exception as error:  # a damaged SavedModel raises nearly anything
        raise GraphRefused(f"The module cannot be loaded: {graphs.sentence(error)}") from error
    graphs.check(frozen.graph_def, "The module")
    data = frozen.graph_def.SerializeToString()
    if len(data) > graphs.FILE_LIMIT:
        raise GraphRefused(f"The frozen module has {len(data) / 1e6:,.0f} MB, more than the lab reads.")
    picture = np.random.RandomState(0).uniform(0, 1, (1, frozen.size, frozen.size, 3)).astype(np.float32)
    try:
        theirs = frozen.module(picture)
        ours = graphs.call(frozen.graph_def, frozen.entry, picture, frozen.result).numpy()
    except tf.errors.OpError as error:
        raise GraphRefused(f"The module cannot be run: {graphs.sentence(error)}") from error
    if not np.abs(ours - theirs).max() <= TOLERANCE * max(1.0, np.abs(theirs).max()):
        raise GraphRefused("The module's frozen graph does not answer as the module does.")
    target = os.path.join(workplace, "backbone")
    os.makedirs(target)
    with open(os.path.join(target, "graph.pb"), "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    probabilities = frozen.classes and bool(np.all(theirs >= 0) and abs(theirs.sum() - 1) < 1e-3)
    return catalog.Backbone(
        name=name,
        title="{} (TensorFlow Hub)".format(name[len("hub_") :].replace("_", " ")),
        format=catalog.GRAPH,
        asset="",
        weights=f"../backbones/{name}/graph.pb",
        size=frozen.size,
        width=frozen.width,
        # TensorFlow Hub's convention for pictures: values from 0 to 1.
        mean=(0.0, 0.0, 0.0),
        std=(255.0, 255.0, 255.0),
        preprocessing=catalog.PILLOW,
        input_layer=frozen.entry,
        bottleneck_layer=frozen.result,
        answer_layer=frozen.result if probabilities else "",
        labels="",
        parameters=0,
        megabytes=round(len(data) / 1e6, 1),
        source="The module {}; bottlenecks are its {}".format(
            source, f"{frozen.width:,} class outputs" if frozen.classes else "feature vector"
        ),
        licence="as the module's authors say",
    )


def _frozen_tf2(folder: str, checked: saved_models.Checked, size: Optional[int]) -> Frozen:
    import tensorflow as tf
    import tensorflow_hub as hub
    from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2

    module = hub.load(folder, tags=checked.tags)
    if checked.signature == saved_models.CALL:
        key, call = "", module
        # Of each way to call it, (its arguments, its keywords); pictures come first in all.
        pictures = module.__call__.concrete_functions[0].structured_input_signature[0][0]
    else:
        called = module.signatures[checked.signature]
        inputs = called.structured_input_signature[1]
        argument = _only(inputs)
        pictures, key = inputs[argument], _output(called.structured_outputs)

        def call(images: Any) -> Any:
            return called(**{argument: images})[key]

    side = _side(pictures, size)
    spec = tf.TensorSpec([pictures.shape[0] if pictures.shape.rank else None, side, side, 3], tf.float32, name="images")
    function = tf.function(lambda images: _tensor(call(images)), input_signature=[spec], autograph=False)
    concrete = function.get_concrete_function()
    width = _width(concrete.outputs[0])

    def answers(picture: np.ndarray) -> np.ndarray:
        assert module  # kept alive by this function: its variables go with it
        return np.asarray(concrete(tf.constant(picture)))

    constant = convert_variables_to_constants_v2(concrete, lower_control_flow=False)
    return Frozen(
        constant.graph.as_graph_def(),
        _layer(constant.inputs[0].name),
        _layer(constant.outputs[0].name),
        side,
        width,
        _is_of_classes(checked.signature, key, width),
        answers,
    )


def _frozen_tf1(folder: str, checked: saved_models.Checked, size: Optional[int]) -> Frozen:
    """In a session, because TF2's way to constants leaves TF1's reference variables as they are."""
    import tensorflow as tf

    v1 = tf.compat.v1
    graph = tf.Graph()
    with graph.as_default():
        session = v1.Session()
        signature = v1.saved_model.load(session, checked.tags, folder).signature_def[checked.signature]
        entry, key = signature.inputs[_only(signature.inputs)].name, _output(signature.outputs)
        result = signature.outputs[key].name
        side = _side(graph.get_tensor_by_name(entry), size)
        width = _width(graph.get_tensor_by_name(result))
        node = graphs.node_of(result)
        constant = v1.graph_util.convert_variables_to_constants(session, graph.as_graph_def(), [node])
    return Frozen(
        constant,
        _layer(entry),
        _layer(result),
        side,
        width,
        _is_of_classes(checked.signature, key, width),
        lambda picture: session.run(result, {entry: picture}),
    )


def _layer(tensor: str) -> str:
    """ "images:0" -> "images", as people say it."""
    return tensor[: -len(":0")] if tensor.endswith(":0") else tensor


def _only(inputs: Dict[str, Any]) -> str:
    if len(inputs) != 1:
        raise GraphRefused(f"The module takes {len(inputs)} inputs; the lab gives it pictures alone.")
    return next(iter(inputs))


def _side(pictures: Any, size: Optional[int]) -> int:
    """Input height and width, pixels: the module's own where it says so, else `size`."""
    shape = pictures.shape.as_list() if pictures.shape.rank is not None else [None] * 4
    if pictures.dtype.name != "float32" or len(shape) != 4 or shape[3] not in (None, 3):
        raise GraphRefused(
            f"The module takes {pictures.dtype.name} of the shape {shape}; the lab gives it float32 pictures of the "
            "shape (N, height, width, 3)."
        )
    height, width = shape[1] or shape[2] or size, shape[2] or shape[1] or size
    if not height or not width:
        raise NeedsSize("The module takes pictures of any size. Say which one it shall get, in pixels.")
    if height != width:
        raise GraphRefused(f"The module takes {width} x {height} pixels; the lab makes squares.")
    return int(height)


def _is_of_classes(signature: str, key: str, width: int) -> bool:
    if signature == "image_classification" or key in ("logits", "probabilities", "predictions"):
        return True
    return width in (1000, 1001)  # ImageNet's, without and with a background


def _output(outputs: Dict[str, Any]) -> str:
    """The output that is taken: TF1 modules have the layers in between as outputs too."""
    for key in ("default", "feature_vector", "logits"):
        if key in outputs:
            return key
    if len(outputs) == 1:
        return next(iter(outputs))
    raise GraphRefused("The module has the outputs {}; the lab cannot tell which.".format(", ".join(sorted(outputs))))


def _tensor(output: Any) -> Any:
    while isinstance(output, (dict, list, tuple)):
        if len(output) != 1:
            raise GraphRefused(f"The module has {len(output)} outputs; the lab takes one.")
        (output,) = output.values() if isinstance(output, dict) else output
    return output


def _width(output: Any) -> int:
    """Length of the output of shape (N, length)."""
    shape = output.shape
    if shape.rank != 2 or not shape[1] or not output.dtype.is_floating:
        raise GraphRefused(
            f"The module answers with {output.dtype.name} of the shape {shape}; the lab needs one vector for each "
            "picture: a feature vector or classes."
        )
    return int(shape[1])


def _install(made: str, target: str, row: catalog.Backbone) -> None:
    """Put the backbone in its place. One of the same name that came from elsewhere is not overwritten."""
    there = os.path.join(target, "row.json")
    if os.path.isfile(there):
        with open(there, encoding="utf-8") as file:
            source = json.load(file).get("source")
        if source != row.source:
            raise GraphRefused(
                f"There is a backbone {row.name} already, of another module. Give this one another name."
            )
    write_json(os.path.join(made, "row.json"), row._asdict())
    if os.path.isdir(target):
        os.rename(target, os.path.join(os.path.dirname(made), "replaced"))  # goes with the workplace
    os.rename(made, target)


def _answer(home: LabHome, question: Dict[str, Any]) -> Dict[str, Any]:
    try:
        row = add(home, question["handle"], question.get("name") or "", question.get("size"))
        return {"row": row._asdict()}
    except NeedsSize as error:
        return {"error": str(error), "needs_size": True}
    except GraphRefused as error:
        return {"error": str(error)}
    except OSError as error:
        return {"error": f"The module cannot be kept in {home.backbones}: {error.strerror}."}


if __name__ == "__main__":
    # A site may send without end. A file of that size, at least, is refused by the kernel.
    resource.setrlimit(resource.RLIMIT_FSIZE, (saved_models.FOLDER_LIMIT, saved_models.FOLDER_LIMIT))
    print(json.dumps(_answer(LabHome(sys.argv[1]), json.load(sys.stdin))))
