"""python -m engine runs: list, cancel or delete them."""

import argparse
import sys
import time

from engine import settings
from engine.cli.answers import DONE, add_action, add_json, print_json, said
from engine.errors import EngineError


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_json(parser)
    parser.set_defaults(command=_list_runs)
    actions = parser.add_subparsers(metavar="ACTION")
    for name, action, text in (
        ("delete", _delete_run, "remove a run and its files"),
        ("cancel", _cancel_run, "stop a run; what it has is kept"),
    ):
        add_action(actions, name, action, text).add_argument("id", help="as `runs` lists it")


def _list_runs(options: argparse.Namespace, lab: settings.Settings) -> int:
    from engine.runs import UNREADABLE, list_runs, list_unreadable

    found, unreadable = list_runs(lab.home), list_unreadable(lab.home)
    if options.json:
        keys = ("id", "title", "state", "started", "seconds")
        rows = [{key: getattr(run, key) for key in keys} for run in found]
        rows += [dict.fromkeys(keys) | {"id": run_id, "title": why, "state": UNREADABLE} for run_id, why in unreadable]
        print_json({"runs": rows})
        return DONE
    for run in found:
        when = time.strftime("%Y-%m-%d %H:%M", time.localtime(run.started))
        print(f"{run.id}  {run.state:9}  {when}  {run.title}")
    for run_id, why in unreadable:
        print(f"{run_id}  {UNREADABLE}  {why}")
    if not found and not unreadable:
        print(
            "No runs yet. Start one with: "
            "python -m engine retrain --image_dir traffic_lights --architecture mobilenet_v2",
            file=sys.stderr,
        )
    return DONE


def _delete_run(options: argparse.Namespace, lab: settings.Settings) -> int:
    from engine import runs

    runs.delete(lab.home, options.id)
    return said(options, {"id": options.id, "deleted": True}, f"Deleted {options.id}.")


def _cancel_run(options: argparse.Namespace, lab: settings.Settings) -> int:
    from engine.queue import Queue
    from engine.runs import open_run

    run = open_run(lab.home, options.id)
    if not run.is_active:
        raise EngineError(f"Run {run.id} is {run.state} already; only a waiting or running one can be cancelled.")
    Queue(lab.home, lab.worker_python).cancel(run.id)
    while run.refresh().is_active:  # stay, because after a grace period this process is the one that kills it
        time.sleep(0.1)
    return said(options, {"id": run.id, "state": run.state}, f"{run.id} is {run.state}.")
