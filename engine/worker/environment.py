"""WORKER_PYTHON -m engine.worker.environment [devices]: what the workers' interpreter has.

One JSON object as the last line of stdout. Which Python and which TensorFlow there is, "" for none; nothing is loaded:

    {"python": "3.6.9", "tensorflow": "2.7.0"}

With `devices` TensorFlow is loaded and asked what it can compute on, and why it has no GPU:

    {"tensorflow": "2.21.0", "gpus": [{"name": "NVIDIA H100", "memory_bytes": 84e9}], "why_no_gpu": "", "cores": 16}
    {"tensorflow": "", ...}    TensorFlow cannot be loaded; why_no_gpu says so

TensorFlow says why it uses no GPU on stderr alone, in C++, and goes on; so stderr is read here. Python 3.6.
"""

import glob
import json
import os
import platform
import re
import sys
import tempfile
from typing import Any, Dict, List, Tuple

from engine.worker.machine import cores

# What TensorFlow is called by its builders, in the names of the folders that say what is installed.
PACKAGES = ("tensorflow", "tensorflow_cpu", "tensorflow_gpu", "tensorflow_macos", "tensorflow_aarch64", "tf_nightly")
# What begins a line of the log: "2026-11-25 18:16:22.649410: W tensorflow/…/dso_loader.cc:64] " or
# "I0000 00:00:1795630565.604252   23776 cudart_stub.cc:31] ".
STAMP = re.compile(r"^(\d{4}-\d\d-\d\d [\d:.]+: [IWEF] |[IWEF]\d{4} [\d:.]+\s+\d+ )\S+\] ")
# Lines that say why there is no GPU, the most telling first.
REASONS = (
    "Could not find cuda drivers",
    "libcuda.so",
    "libcudart.so",
    "Cannot dlopen some GPU libraries",
    "failed call to cuInit",
    "no CUDA-capable device is detected",
    "kernel driver does not appear to be running",
    "Skipping registering GPU devices",
)
SAID_LIMIT = 200  # letters of a line


def describe() -> Dict[str, str]:
    return {"python": platform.python_version(), "tensorflow": installed_tensorflow()}


def installed_tensorflow() -> str:
    """Its version as it was installed; "" where there is none. The standard library knows such things since 3.8."""
    for folder in sys.path:
        for package in PACKAGES:
            for found in glob.glob(os.path.join(glob.escape(folder or "."), package + "-*.*-info")):
                version = os.path.basename(found)[len(package) + 1 :].rsplit(".", 1)[0]
                return version.split("-py")[0]
    return ""


def devices() -> Dict[str, Any]:
    """What TensorFlow can compute on; it is loaded."""
    found: Dict[str, Any] = {"tensorflow": "", "gpus": [], "why_no_gpu": "", "cores": cores()}
    hidden = os.environ.get("CUDA_VISIBLE_DEVICES")
    os.environ["TF_CPP_MIN_LOG_LEVEL"] = "0"  # or it would not say what it looked for
    os.environ["TF_FORCE_GPU_ALLOW_GROWTH"] = "true"
    answer, said = _overheard(_ask_tensorflow)
    if isinstance(answer, Exception):
        why = (str(answer).splitlines() or [type(answer).__name__])[0][:SAID_LIMIT]
        found["why_no_gpu"] = "TensorFlow cannot be loaded: {}.".format(why.rstrip("."))
        return found
    is_built_for_gpus = answer.pop("is_built_for_gpus")
    found.update(answer)
    if found["gpus"]:
        return found
    if hidden is not None and not re.match(r"\d", hidden):
        found["why_no_gpu"] = f"CUDA_VISIBLE_DEVICES={hidden} hides every GPU."
    elif not is_built_for_gpus:
        found["why_no_gpu"] = "This TensorFlow was built without support for GPUs."
    else:
        found["why_no_gpu"] = reason(said)
    return found


def _ask_tensorflow() -> Dict[str, Any]:
    import tensorflow as tf

    gpus = []
    if tf.config.list_physical_devices("GPU"):
        from tensorflow.python.client import device_lib  # the only place that tells the memory

        for device in device_lib.list_local_devices():
            if device.device_type == "GPU":
                name = re.search(r"name: ([^,]+)", device.physical_device_desc)
                gpus.append({"name": name.group(1) if name else device.name, "memory_bytes": device.memory_limit})
    is_built_for_gpus = tf.test.is_built_with_cuda() or tf.test.is_built_with_rocm()
    return {"tensorflow": tf.__version__, "gpus": gpus, "is_built_for_gpus": is_built_for_gpus}


def reason(said: List[str]) -> str:
    """The line of TensorFlow's log that says why there is no GPU, in its own words; a sentence in any case."""
    lines = [STAMP.sub("", line).strip() for line in said]
    for words in REASONS:
        for line in lines:
            if words in line:
                return "TensorFlow says: {}.".format(line[:SAID_LIMIT].rstrip(".,; "))
    return "TensorFlow lists no GPU and does not say why."


def _overheard(ask: Any) -> Tuple[Any, List[str]]:
    """What `ask` returned or raised, and the lines that were written to stderr meanwhile, by whatever language."""
    sys.stderr.flush()
    kept = os.dup(2)
    with tempfile.TemporaryFile() as file:
        os.dup2(file.fileno(), 2)
        try:
            answer = ask()
        except Exception as error:  # an import that fails may raise nearly anything
            answer = error
        finally:
            sys.stderr.flush()
            os.dup2(kept, 2)
            os.close(kept)
        file.seek(0)
        return answer, file.read().decode("utf-8", "replace").splitlines()


if __name__ == "__main__":
    print(json.dumps(devices() if sys.argv[1:] == ["devices"] else describe()))
