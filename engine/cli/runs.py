"""python -m engine runs: list, cancel, delete or sign them."""

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
    one = add_action(actions, "sign", _sign_runs, "confirm that runs are this lab's own, so that their models are used")
    one.add_argument("id", nargs="*", help="as `runs` lists it; by default the runs from before the lab signed them")
    one.add_argument("--yes", action="store_true", help="do not ask")


def _list_runs(options: argparse.Namespace, lab: settings.Settings) -> int:
    from engine.runs import UNREADABLE, list_runs, list_unreadable

    found = list_runs(lab.home)
    unreadable = list_unreadable(lab.home, {run.id for run in found})
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
    from engine.runs import open_run
    from engine.runs.queue import Queue

    run = open_run(lab.home, options.id)
    if not run.is_active:
        raise EngineError(f"Run {run.id} is {run.state} already; only a waiting or running one can be cancelled.")
    Queue(lab.home, lab.worker_python).cancel(run.id)
    while run.refresh().is_active:  # stay, because after a grace period this process is the one that kills it
        time.sleep(0.1)
    return said(options, {"id": run.id, "state": run.state}, f"{run.id} is {run.state}.")


def _sign_runs(options: argparse.Namespace, lab: settings.Settings) -> int:
    from engine import runs
    from engine.contract import signatures

    ids = options.id or signatures.older(lab.home)
    for run_id in ids:
        print(f"{run_id}  {runs.open_run(lab.home, run_id).title}", file=sys.stderr)
    if ids and not options.yes:
        asked = "this run" if len(ids) == 1 else f"all of these {len(ids):,} runs"
        print(
            f"Did this lab make {asked}? A model can do what a program can; say no if one came from elsewhere. [y/N] ",
            end="",
            file=sys.stderr,
            flush=True,
        )
        if sys.stdin.readline().strip().lower() not in ("y", "yes"):
            raise EngineError(
                "Nothing was signed. To sign some of them, name them: python -m engine runs sign ID [ID ...]"
            )
    signed = runs.sign(lab.home, ids)
    return said(options, {"signed": signed}, "\n".join(f"Signed {each}." for each in signed) or "No run to sign.")
