"""WORKER_PYTHON -m tests.fakes.classifier: answers as engine/worker/classify/classifier.py does, and always the same.

What it says of time can then be held against what a page shows. `interpreter` writes a stand-in for the workers' Python
that runs this in the place of the classifier, and everything else as it is.
"""

import io
import sys
from pathlib import Path

import numpy as np
from PIL import Image

from engine.contract import protocol
from engine.contract.protocol import Scored

TOP = [Scored("red", 0.7123), Scored("yellow", 0.2046), Scored("green", 0.0831)]  # of every picture
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


def answer(request: protocol.Request) -> protocol.Answer:
    if isinstance(request, protocol.JudgeOutlier):
        is_lane = ":" in request.model  # a lane by its name knows the picture; the run by its own does not
        return protocol.Outlier(
            is_none_of_these=not is_lane,
            distance=DISTANCE_THRESHOLD / 2 if is_lane else DISTANCE,
            score=SCORE,
            distance_threshold=DISTANCE_THRESHOLD,
            score_threshold=SCORE_THRESHOLD,
            false_alarms=0,  # the page has this from the run's folder
            photos=1,
        )
    if isinstance(request, protocol.Prepare):
        return protocol.Prepared(LOAD, FIRST)
    if isinstance(request, protocol.ReportMemory):
        return protocol.Resident(12_300_000, 256_000_000, [protocol.ModelSize("race", 12_300_000)])
    if isinstance(request, protocol.Classify):
        return classified(request)
    return protocol.Refusal("This stand-in cannot say that.")


def classified(request: protocol.Classify) -> protocol.Classified:
    seen = io.BytesIO()
    Image.new("RGB", (224, 224), (200, 30, 30)).save(seen, "PNG")
    repeats = REPEATS if request.repeats else []
    return protocol.Classified(
        top=TOP[: request.top],
        runtime="A stand-in",
        device="CPU",
        load_seconds=LOAD,
        first_seconds=FIRST,
        decode_seconds=DECODE,
        resize_seconds=RESIZE,
        seconds=CALL,
        width=40,
        height=56,
        seen_png=seen.getvalue(),
        p50_seconds=P50 if repeats else None,
        p95_seconds=P95 if repeats else None,
        repeat_seconds=tuple(repeats),
        classes=len(TOP),
        input_layer="input",
        output_layer="final_result",
        input_height=224,
        input_width=224,
    )


if __name__ == "__main__":
    for line in sys.stdin:
        print(protocol.encode(answer(protocol.decode(line, protocol.REQUESTS))), flush=True)
