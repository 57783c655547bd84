"""How a command answers: its exit code, a sentence, or one JSON object."""

import argparse
import json
from collections.abc import Callable
from typing import Any

from engine.contract import events

DONE, FAILED, BAD_ARGUMENTS, CANCELLED = 0, 1, 2, 130
EXIT_CODES = {events.DONE: DONE, events.FAILED: FAILED, events.LOST: FAILED, events.CANCELLED: CANCELLED}


def add_json(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--json", action="store_true", help="print one JSON object on stdout")


def add_action(actions: Any, name: str, command: Callable[..., int], text: str) -> argparse.ArgumentParser:
    """A word after the command's own; `actions` is what add_subparsers gave."""
    one = actions.add_parser(name, help=text)
    # Not set to False here, or `runs --json delete` would forget what was said before.
    one.add_argument("--json", action="store_true", default=argparse.SUPPRESS, help="print one JSON object on stdout")
    one.set_defaults(command=command)
    return one


def print_json(value: dict[str, Any]) -> None:
    print(json.dumps(value, ensure_ascii=False, allow_nan=False))


def said(options: argparse.Namespace, record: dict[str, Any], sentence: str) -> int:
    if options.json:
        print_json(record)
    else:
        print(sentence)
    return DONE
