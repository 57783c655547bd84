"""One LAB_HOME with real weights for all tests, fetched once and kept between test runs. Python 3.6."""

import os
import subprocess
import sys

from engine.contract.run_folder import LabHome

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
PATH = os.environ.get("LAB_TEST_HOME") or os.path.join(ROOT, ".lab-test")


def with_assets(*names):
    # type: (*str) -> LabHome
    """The home that holds these assets; a word on stderr says what went wrong where they cannot be fetched."""
    own = os.path.join(ROOT, ".venv", "bin", "python")  # the old interpreter cannot run engine/assets/
    python = sys.executable if sys.version_info >= (3, 11) else own
    environment = dict(os.environ, LAB_HOME=PATH)
    subprocess.check_call([python, "-m", "engine", "assets"] + list(names), cwd=ROOT, env=environment)
    return LabHome(PATH)
