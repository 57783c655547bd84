"""WORKER_PYTHON -m engine.worker.environment: what the workers' Python is, and whether TensorFlow finds a GPU in it.

One JSON object on stdin, one as the last line of stdout; what TensorFlow's loader says goes to stderr as it comes.

    {"load": false}    {"python": "3.6.9", "tensorflow": "2.7.0"}     without loading it; "" where it is not
    {"load": true}     {..., "gpus": ["NVIDIA Tegra X2"], "is_built_for_gpu": true}
    {"error": "..."}   TensorFlow cannot be loaded

Python 3.6.
"""

import glob
import json
import os
import platform
import sys
from typing import Any, Dict

# What TensorFlow is called by its builders, in the names of the folders that say what is installed.
PACKAGES = ("tensorflow", "tensorflow_cpu", "tensorflow_gpu", "tensorflow_macos", "tensorflow_aarch64", "tf_nightly")


def describe():
    # type: () -> Dict[str, Any]
    return {"python": platform.python_version(), "tensorflow": installed_tensorflow()}


def installed_tensorflow():
    # type: () -> str
    """Its version as it was installed, without loading it; "" where there is none."""
    for folder in sys.path:
        for package in PACKAGES:
            for found in glob.glob(os.path.join(glob.escape(folder or "."), package + "-*.*-info")):
                version = os.path.basename(found)[len(package) + 1 :].rsplit(".", 1)[0]
                return version.split("-py")[0]
    return ""


def load():
    # type: () -> Dict[str, Any]
    """The same, and what TensorFlow computes on."""
    os.environ["TF_CPP_MIN_LOG_LEVEL"] = "0"  # its loader says which library it did not find
    import tensorflow as tf

    gpus = []
    for device in tf.config.list_physical_devices("GPU"):
        try:
            details = tf.config.experimental.get_device_details(device)
        except Exception:  # the name is not worth the answer
            details = {}
        gpus.append(str(details.get("device_name", device.name)))
    answer = describe()
    answer.update(tensorflow=str(tf.__version__), gpus=gpus, is_built_for_gpu=bool(tf.test.is_built_with_gpu_support()))
    return answer


def main(question):
    # type: (Dict[str, Any]) -> Dict[str, Any]
    if not question.get("load"):
        return describe()
    try:
        return load()
    except ImportError as error:
        return {"error": "TensorFlow cannot be loaded: {}".format(error)}


if __name__ == "__main__":
    print(json.dumps(main(json.load(sys.stdin))))
