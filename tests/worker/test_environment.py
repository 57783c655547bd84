"""What the workers' Python says of itself, and what TensorFlow computes on."""

import json
import os
import platform
import subprocess
import sys

import pytest

from engine.worker import environment

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


def test_a_machine_without_a_gpu_is_told_why_in_tensorflows_own_words():
    process = subprocess.Popen(
        [sys.executable, "-m", "engine.worker.environment", "devices"],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        universal_newlines=True,
        env={name: value for name, value in os.environ.items() if name != "CUDA_VISIBLE_DEVICES"},
    )
    said, complaint = process.communicate()
    assert process.returncode == 0, complaint
    found = json.loads(said.splitlines()[-1])
    assert found["tensorflow"]
    assert found["cores"] >= 1
    if found["gpus"]:
        pytest.skip("this machine has a GPU")
    assert found["why_no_gpu"].startswith(("TensorFlow says: ", "This TensorFlow was built without"))
    assert found["why_no_gpu"].endswith(".")


@pytest.mark.parametrize(
    "lines, sentence",
    [
        pytest.param(
            [
                "WARNING: All log messages before absl::InitializeLog() is called are written to STDERR",
                "I0000 00:00:1795630565.604252   23776 cudart_stub.cc:31] Could not find cuda drivers on your machine, "
                "GPU will not be used.",
                "E0000 00:00:1795630578.192699   23776 cuda_platform.cc:52] failed call to cuInit: INTERNAL",
            ],
            "TensorFlow says: Could not find cuda drivers on your machine, GPU will not be used.",
            id="TensorFlow 2.21 without a driver",
        ),
        pytest.param(
            [
                "2026-11-25 18:16:22.649410: W tensorflow/stream_executor/platform/default/dso_loader.cc:64] Could not "
                "load dynamic library 'libcudart.so.11.0'; dlerror: libcudart.so.11.0: cannot open shared object file",
                "2026-11-25 18:16:22.649460: I tensorflow/stream_executor/cuda/cudart_stub.cc:29] Ignore above cudart "
                "dlerror if you do not have a GPU set up on your machine.",
            ],
            "TensorFlow says: Could not load dynamic library 'libcudart.so.11.0'; dlerror: libcudart.so.11.0: cannot "
            "open shared object file.",
            id="TensorFlow 2.6 without CUDA",
        ),
        pytest.param([], "TensorFlow lists no GPU and does not say why.", id="silence"),
        pytest.param(["x" * 10000, "\x00]] :"], "TensorFlow lists no GPU and does not say why.", id="garbage"),
    ],
)
def test_the_most_telling_line_of_the_loader_is_the_reason(lines, sentence):
    assert environment.reason(lines) == sentence
