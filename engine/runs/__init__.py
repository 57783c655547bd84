"""Runs: a folder each. Opened, listed, deleted, packed; engine/runs/queue.py starts and cancels them."""

from engine.runs.archives import size, zip_artifacts, zip_run
from engine.runs.deleting import delete, uploaded_pictures
from engine.runs.folders import UNREADABLE, list_runs, list_unreadable, open_run, sign
from engine.runs.record import Curve, Run, StageStory, Story

__all__ = [
    "UNREADABLE",
    "Curve",
    "Run",
    "StageStory",
    "Story",
    "delete",
    "list_runs",
    "list_unreadable",
    "open_run",
    "sign",
    "size",
    "uploaded_pictures",
    "zip_artifacts",
    "zip_run",
]
