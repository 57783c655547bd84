"""A run from the command line: started, followed to its end, and told."""

import argparse
import sys
import time
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

from engine import kinds, settings
from engine.cli.answers import EXIT_CODES, FAILED, print_json
from engine.cli.progress import Bar, progress_bar
from engine.contract import choices, events, specs
from engine.errors import EngineError

if TYPE_CHECKING:
    from engine.contract.dataset import Dataset
    from engine.runs import Run
    from engine.runs.queue import Queue


def carry_out(
    options: argparse.Namespace,
    lab: settings.Settings,
    spec: specs.Spec,
    dataset: "Dataset | None",
    *,
    report: Callable[["Run"], dict[str, Any]],
    last_lines: Callable[["Run"], Iterable[str]],
    foreseen: events.Predicted | events.Expected | None = None,
    new_lines: Callable[["Run"], Iterable[str]] = lambda run: (),
    finish: Callable[["Run"], None] = lambda run: None,
) -> int:
    """Start a run, follow it to its end, and say what came of it; the exit code.

    With --json that is `report`; else `new_lines` while it goes on, what came since the last call, and `last_lines`.
    `finish` is called once it is done, and may raise EngineError.
    """
    from engine.machine import devices, sampler
    from engine.runs import open_run
    from engine.runs.queue import Queue

    if spec.device == choices.GPU:
        devices.check(spec, devices.probe(lab.worker_python))
    sampler.look(lab.home, lab.tegrastats)  # it stays as long as the run goes
    queue = Queue(lab.home, lab.worker_python, options.worker_module)
    run = open_run(lab.home, queue.start(spec, dataset, foreseen))
    print(f"Run {run.id} in {run.folder.path}", file=sys.stderr)
    _follow(run, queue, (lambda run: ()) if options.json else new_lines)
    code = EXIT_CODES[run.state]
    if run.state == events.DONE:
        try:
            finish(run)
        except EngineError as error:
            print(error, file=sys.stderr)
            code = FAILED
    if options.json:
        print_json(report(run))
    else:
        for line in last_lines(run):
            print(line)
    _print_failure(run)
    return code


def _follow(run: "Run", queue: "Queue", new_lines: Callable[["Run"], Iterable[str]]) -> None:
    """Draw the run's progress until it ends. Ctrl-C cancels it and waits on; a second one leaves it to its end."""
    warned = 0
    with progress_bar() as bar:
        while True:
            try:
                is_active = run.refresh().is_active
                for warning in run.story.warnings[warned:]:
                    bar.clear()
                    print(warning.message, file=sys.stderr)
                warned = len(run.story.warnings)
                if lines := list(new_lines(run)):
                    bar.clear()
                    print("\n".join(lines), flush=True)
                if not is_active:
                    break
                _draw(bar, run, queue)
                time.sleep(0.2)
            except KeyboardInterrupt:
                if run.cancel_asked:
                    raise
                bar.draw("Cancelling", 0, 0)
                queue.cancel(run.id)
        if run.state == events.DONE:
            bar.draw("Done", 1, 1, f"{run.seconds or 0:.1f} s")


def _draw(bar: "Bar", run: "Run", queue: "Queue") -> None:
    if run.cancel_asked:  # here, or on a page
        bar.draw("Cancelling", 0, 0)
    elif run.state == events.QUEUED:
        ahead = queue.ahead(run.id)
        if ahead:
            bar.draw("Waiting", 0, 0, f"{len(ahead)} before this one, first {ahead[0]}")
        else:
            bar.draw("Starting", 0, 0)
    elif run.story.stages:
        stage = run.story.stages[-1]
        rest = ""
        if stage.total and stage.done:
            left = kinds.of(run).seconds_left(run)
            if left is None:
                left = (run.story.last_t - stage.began) * (stage.total - stage.done) / stage.done
            rest = f"{stage.done:,} of {stage.total:,}, {left:.0f} s left"
        bar.draw(stage.name, stage.done, stage.total, rest)


def _print_failure(run: "Run") -> None:
    if run.state == events.LOST:
        print("The worker ended without a word: killed for memory, or a power loss. Its log ends:", file=sys.stderr)
        print(run.log_tail(10), file=sys.stderr)
    elif run.story.error:
        print(f"{run.story.error.message} {run.story.error.hint}", file=sys.stderr)
    elif run.state == events.CANCELLED:
        print("Cancelled. What it had is kept.", file=sys.stderr)
