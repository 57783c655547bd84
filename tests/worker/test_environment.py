"""What the workers' Python says of itself without loading anything."""

import json
import os
import platform
import subprocess
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))


def test_the_version_is_known_without_loading_tensorflow():
    code = (
        "import sys; sys.modules['tensorflow'] = None\n"
        "from engine.worker import environment; import json; print(json.dumps(environment.describe()))"
    )
    said = json.loads(subprocess.check_output([sys.executable, "-c", code], cwd=ROOT).decode())
    import tensorflow as tf

    assert said == {"python": platform.python_version(), "tensorflow": tf.__version__}


def test_a_python_without_tensorflow_has_no_version(tmp_path):
    code = "import sys; sys.path = [sys.path[0], {!r}] + [each for each in sys.path if 'site-packages' not in each]\n"
    code += "from engine.worker import environment; print(repr(environment.installed_tensorflow()))"
    said = subprocess.check_output([sys.executable, "-c", code.format(str(tmp_path))], cwd=ROOT).decode()
    assert said == "''\n"
    (tmp_path / "tensorflow_cpu-2.6.2.dist-info").mkdir()
    said = subprocess.check_output([sys.executable, "-c", code.format(str(tmp_path))], cwd=ROOT).decode()
    assert said == "'2.6.2'\n"
