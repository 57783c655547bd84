"""The dashboard's Python beside a worker's, where the image says something to the worker's alone."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
NVIDIAS = {"PROTOCOL_BUFFERS_PYTHON_IMPLEMENTATION": "cpp"}  # what its image for the TX2 sets


def run(code: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, env=os.environ | NVIDIAS, capture_output=True, text=True, timeout=120
    )


def test_without_the_labs_care_the_dashboards_protobuf_does_not_load():
    assert "_message" in run("import google.protobuf.message_factory").stderr


@pytest.mark.parametrize("program", ["serve", "engine.__main__", "engine.machine.sampler"])
def test_a_program_of_the_dashboard_loads_protobuf_where_nvidias_image_asks_for_another(program):
    ran = run(f"import {program}; import google.protobuf.message_factory; print('loaded')")
    assert (ran.returncode, ran.stdout) == (0, "loaded\n"), ran.stderr


def test_the_worker_still_gets_what_its_image_asks_for_and_the_labs_own_python_does_not():
    ran = run(
        "import engine.interpreter, json, os, sys; from engine.worker_programs import worker_environment; "
        "print(json.dumps([worker_environment(os.environ, python) for python in ('/usr/bin/python3', sys.executable)]))"
    )
    worker, own = json.loads(ran.stdout)
    assert worker.items() >= NVIDIAS.items()
    assert not NVIDIAS.keys() & own.keys()
