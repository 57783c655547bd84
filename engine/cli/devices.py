"""python -m engine devices: what runs can compute on, and why there is no GPU where there is none."""

import argparse
import sys
from dataclasses import asdict

from engine import settings
from engine.cli.answers import DONE, FAILED, add_json, print_json
from engine.words import count, size


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_json(parser)
    parser.set_defaults(command=_devices)


def _devices(options: argparse.Namespace, lab: settings.Settings) -> int:
    from engine.machine import devices

    if not options.json:
        print(f"Asking the TensorFlow of {lab.worker_python}, which takes some seconds.", file=sys.stderr)
    found = devices.probe(lab.worker_python)
    if options.json:
        print_json(asdict(found))
    else:
        print(f"cpu  {count(found.cores, 'core')}")
        for gpu in found.gpus:
            print(f"gpu  {gpu.name}, {size(gpu.memory_bytes)} for TensorFlow {found.tensorflow}")
        if found.why_no_gpu:
            print(f"No GPU was found. {found.why_no_gpu}")
    return DONE if found.tensorflow else FAILED
