"""Runs: a folder each. Opened, listed, deleted, packed; engine/runs/queue.py starts and cancels them."""

from engine.runs.archives import size, zip_artifacts, zip_run
from engine.runs.deleting import delete, uploaded_pictures
from engine.runs.folders import BEING_MADE, UNREADABLE, list_runs, list_unreadable, open_run, sign, why_unreadable
from engine.runs.record import Curve, Run, StageStory, Story

__all__ = [
    "BEING_MADE",
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
    "why_unreadable",
    "zip_artifacts",
    "zip_run",
]
