"""Adds TensorFlow Hub modules to the backbones of this lab. The work is done in engine/worker/hub_module.py."""

from engine import worker_programs
from engine.contract import catalog
from engine.contract.run_folder import LabHome
from engine.errors import HubError
from engine.errors import NeedsSize as NeedsSize

# Seconds: modules have 10 to 100 MB, and one is downloaded, loaded, frozen and called.
PATIENCE = 1800.0


def add(home: LabHome, worker_python: str, handle: str, size: int | None = None, name: str = "") -> catalog.Backbone:
    """The backbone that was made of a module, from now on one of catalog.added_backbones.

    `handle`: an https address, the folder of a SavedModel, or one packed as .tar.gz. `size`: input height and width,
    pixels, where the module leaves it open. `name`: made from the handle where empty. A module that was added before
    is made anew. Raises NeedsSize where only a size is missing, HubError with a sentence for what cannot be used, and
    WorkerStartError.
    """
    question = {"handle": handle, "name": name, "size": size}
    answer = worker_programs.ask(worker_python, "engine.worker.hub_module", [home.path], question, PATIENCE)
    if "error" in answer:
        raise (NeedsSize if answer.get("needs_size") else HubError)(answer["error"])
    return next(row for row in catalog.added_backbones(home) if row.name == answer["row"]["name"])
