"""TensorFlow Hub modules added as a page or the command line does: a real process, real modules."""

import sys
from pathlib import Path

import pytest

from engine.assets import hub
from engine.contract import catalog
from engine.contract.run_folder import LabHome
from engine.errors import HubError, WorkerStartError
from tests.worker import hub_modules


def test_a_module_is_added_and_is_in_the_catalogue_from_then_on(tmp_path: Path):
    home = LabHome(str(tmp_path / "lab"))
    row = hub.add(
        home, sys.executable, hub_modules.save(hub_modules.Features(size=None), tmp_path / "features"), size=32
    )
    assert (row.name, row.size, row.width) == ("hub_features", 32, 6)
    assert catalog.backbone("hub_features", home) == row


def test_a_size_is_asked_for_by_an_error_of_its_own(tmp_path: Path):
    python = tmp_path / "python"  # at the process seam, as the worker's own test sees it from the other side
    python.write_text('#!/bin/sh\necho \'{"error": "Say which one.", "needs_size": true}\'\n')
    python.chmod(0o755)
    with pytest.raises(hub.NeedsSize, match="Say which one"):
        hub.add(LabHome(str(tmp_path / "lab")), str(python), "anything")


def test_what_is_no_module_is_refused_with_a_sentence(tmp_path: Path):
    with pytest.raises(HubError, match=r"is no module\. Give an address"):
        hub.add(LabHome(str(tmp_path / "lab")), sys.executable, str(tmp_path / "nothing"))
    with pytest.raises(WorkerStartError, match="Cannot run WORKER_PYTHON"):
        hub.add(LabHome(str(tmp_path / "lab")), "/no/such/python", "anything")
