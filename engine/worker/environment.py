"""WORKER_PYTHON -m engine.worker.environment: which Python and which TensorFlow the workers have; nothing is loaded.

One JSON object as the last line of stdout; engine/worker/probe.py says what TensorFlow finds once it is loaded:

    {"python": "3.6.9", "tensorflow": "2.7.0"}    "" where there is none

Python 3.6.
"""

import glob
import json
import os
import platform
import sys
from typing import Dict

# What TensorFlow is called by its builders, in the names of the folders that say what is installed.
PACKAGES = ("tensorflow", "tensorflow_cpu", "tensorflow_gpu", "tensorflow_macos", "tensorflow_aarch64", "tf_nightly")


def describe():
    # type: () -> Dict[str, str]
    return {"python": platform.python_version(), "tensorflow": installed_tensorflow()}


def installed_tensorflow():
    # type: () -> str
    """Its version as it was installed; "" where there is none. The standard library knows such things since 3.8."""
    for folder in sys.path:
        for package in PACKAGES:
            for found in glob.glob(os.path.join(glob.escape(folder or "."), package + "-*.*-info")):
                version = os.path.basename(found)[len(package) + 1 :].rsplit(".", 1)[0]
                return version.split("-py")[0]
    return ""


if __name__ == "__main__":
    print(json.dumps(describe()))
