"""WORKER_PYTHON -m tests.fakes.classifier: answers as engine/worker/classify/classifier.py does, and always the same.

What it says of time can then be held against what a page shows. `interpreter` writes a stand-in for the workers' Python
that runs this in the place of the classifier, and everything else as it is.
"""

import base64
import io
import json
import sys
from pathlib import Path

import numpy as np
from PIL import Image

TOP = [["red", 0.7123], ["yellow", 0.2046], ["green", 0.0831]]  # of every picture
LOAD, FIRST, DECODE, RESIZE, CALL = 0.4321, 0.0876, 0.00123, 0.00045, 0.0314  # seconds
REPEATS = [0.0211 + 0.0007 * number + 0.02 * (number % 7 == 6) for number in range(40)]  # likewise
P50, P95 = float(np.median(REPEATS)), float(np.percentile(REPEATS, 95))
DISTANCE, DISTANCE_THRESHOLD, SCORE, SCORE_THRESHOLD = 0.347, 0.213, 0.5512, 0.4018


def interpreter(path: Path) -> Path:
    """A program that is this Python but for the classifier."""
    python = f'exec "{sys.executable}"'
    path.write_text(
        f'#!/bin/sh\ncase "$*" in *classify.classifier*) {python} -m tests.fakes.classifier;; *) {python} "$@";; esac\n'
    )
    path.chmod(0o755)
    return path


def answer(question: dict) -> dict:
    if question.get("explain") == "outlier":
        return {
            # A lane by its name knows the picture; the run by its own does not.
            "is_none_of_these": ":" not in question["model"],
            "distance": DISTANCE if ":" not in question["model"] else DISTANCE_THRESHOLD / 2,
            "score": SCORE,
            "distance_threshold": DISTANCE_THRESHOLD,
            "score_threshold": SCORE_THRESHOLD,
            "false_alarms": 0,  # the page has this from the run's folder
            "photos": 1,
        }
    if "prepare" in question:
        return {"load_seconds": LOAD, "first_seconds": FIRST}
    if "memory" in question:
        return {"bytes": 12_300_000, "limit_bytes": 256_000_000, "models": [["race", 12_300_000]]}
    if "image" not in question or "explain" in question:
        return {"error": "This stand-in cannot say that."}
    seen = io.BytesIO()
    Image.new("RGB", (224, 224), (200, 30, 30)).save(seen, "PNG")
    repeats = REPEATS if question["repeats"] else []
    return {
        "top": TOP[: question["top"]],
        "runtime": "A stand-in",
        "device": "CPU",
        "load_seconds": LOAD,
        "first_seconds": FIRST,
        "decode_seconds": DECODE,
        "resize_seconds": RESIZE,
        "seconds": CALL,
        "width": 40,
        "height": 56,
        "seen": base64.b64encode(seen.getvalue()).decode(),
        "p50_seconds": P50 if repeats else None,
        "p95_seconds": P95 if repeats else None,
        "repeat_seconds": repeats,
        "classes": len(TOP),
        "input_layer": "input",
        "output_layer": "final_result",
        "input_height": 224,
        "input_width": 224,
    }


if __name__ == "__main__":
    for line in sys.stdin:
        print(json.dumps(answer(json.loads(line))), flush=True)
