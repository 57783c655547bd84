"""python -m engine COMMAND: what the pages do, without a browser. A kind of run brings its own.

Exit codes: 0 done, 1 failed, 2 bad arguments (nothing was started), 130 cancelled. Answers go to stdout, progress and
failures to stderr. With --json every command prints one JSON object on stdout, last and alone. One module per command;
each imports the rest of the engine in its functions, so that `assets` with nothing to do ends at once.
"""

import argparse
import importlib
import os
import sys
from collections.abc import Iterator
from typing import Any

from engine import settings
from engine.cli import (
    assets,
    devices,
    evaluate,
    inspect_graph,
    kept_models,
    label_image,
    questions,
    report,
    runs,
)
from engine.cli.answers import BAD_ARGUMENTS, CANCELLED, FAILED, print_json
from engine.contract import VERSION, kinds
from engine.errors import EngineError, ImportRefused, ModelNotFound, ModelRefused, PhotosError, RunNotFound, SpecError

# Beside those of the kinds of run: name, module, help.
OTHERS = (
    ("label_image", label_image, "what a model says about a picture"),
    ("models", kept_models, "list what can be asked about a picture; add or delete models"),
    ("evaluate", evaluate, "how often a model is right on a folder of photos"),
    ("inspect_graph", inspect_graph, "what a frozen graph is, without running it"),
    ("runs", runs, "list, cancel or delete runs"),
    ("report", report, "runs, or questions and answers, as one HTML file or as Markdown"),
    ("questions", questions, "which answers to the coursework's questions this machine has measured"),
    ("devices", devices, "what runs can compute on, and why there is no GPU"),
    ("assets", assets, "fetch weights, digits and photos, or list them"),
)
# What was wrong before anything was started.
REFUSALS = (SpecError, PhotosError, RunNotFound, ImportRefused, ModelNotFound, ModelRefused)


def main(arguments: list[str], worker_module: str = "engine.worker") -> int:
    """Run one command and return its exit code; argparse itself exits with 2."""
    options = _parser().parse_args(arguments)
    options.worker_module = worker_module
    try:
        return options.command(options, settings.load())
    except KeyboardInterrupt:
        print("Cancelled.", file=sys.stderr)
        return CANCELLED
    except BrokenPipeError:  # `| head` has seen enough; a run that was started goes on by itself
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # or Python complains when it ends
        return FAILED
    except EngineError as error:
        print(error, file=sys.stderr)
        if options.json:
            print_json({"error": str(error)})
        return BAD_ARGUMENTS if isinstance(error, REFUSALS) else FAILED


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m engine", description="Bottleneck Lab without a browser.")
    parser.add_argument("--version", action="version", version=f"Bottleneck Lab {VERSION}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    for name, module, text in _commands():
        # Abbreviations are refused: --test would come to mean something else with the next flag.
        module.add_arguments(commands.add_parser(name, help=text, allow_abbrev=False))
    return parser


def _commands() -> Iterator[tuple[str, Any, str]]:
    """A kind of run has its command in a module of its own, with its NAME, its HELP and add_arguments."""
    for rooms in kinds.KINDS.values():
        if rooms.command:
            module = importlib.import_module(rooms.command)
            yield module.NAME, module, module.HELP
    yield from OTHERS
