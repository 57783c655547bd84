"""What the workers' Python says of itself; in this process, which has TensorFlow."""

import json
import os
import platform
import subprocess
import sys

from engine.worker import environment

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))


def test_the_version_is_known_without_loading_tensorflow():
    code = (
        "import sys; sys.modules['tensorflow'] = None\n"
        "from engine.worker import environment; import json; print(json.dumps(environment.main({})))"
    )
    said = json.loads(subprocess.check_output([sys.executable, "-c", code], cwd=ROOT).decode())
    import tensorflow as tf

    assert said == {"python": platform.python_version(), "tensorflow": tf.__version__}


def test_tensorflow_says_what_it_computes_on():
    import tensorflow as tf

    said = environment.main({"load": True})
    assert said["tensorflow"] == tf.__version__
    assert len(said["gpus"]) == len(tf.config.list_physical_devices("GPU"))
    assert said["is_built_for_gpu"] in (True, False)


def test_a_python_without_tensorflow_is_said():
    code = (
        "import sys; sys.modules['tensorflow'] = None\n"
        "from engine.worker import environment; print(environment.main({'load': True})['error'])"
    )
    said = subprocess.check_output([sys.executable, "-c", code], cwd=ROOT).decode()
    assert said.startswith("TensorFlow cannot be loaded: ")
