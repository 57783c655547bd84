"""python -m engine report: runs and questions as one HTML file, or as Markdown in a zip."""

import argparse
import os
import time

from engine import settings
from engine.cli.answers import add_json, said
from engine.cli.progress import progress_bar
from engine.contract.run_folder import write_bytes
from engine.errors import EngineError, SpecError


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("run", nargs="*", help="ids, as `runs` lists them")
    parser.add_argument("--out", required=True, metavar="FILE", help="report.html, or report.zip for Markdown")
    parser.add_argument("--questions", action="store_true", help="the coursework's questions, answered by runs")
    add_json(parser)
    parser.set_defaults(command=_report)


def _report(options: argparse.Namespace, lab: settings.Settings) -> int:
    from engine import report
    from engine.runs import open_run

    began = time.monotonic()
    kind = os.path.splitext(options.out)[1].lower()
    if kind not in (".html", ".zip"):
        raise SpecError(f"--out is {options.out}; name a file that ends with .html, or with .zip for Markdown.")
    if bool(options.run) == options.questions:
        raise SpecError("Name the runs to report, as `python -m engine runs` lists them, or say --questions.")
    for run_id in options.run:
        open_run(lab.home, run_id)  # raises RunNotFound before anything is made
    with progress_bar() as bar:
        if options.questions:
            made = report.of_questions(lab, progress=lambda done, total: bar.draw("Questions", done, total))
        else:
            made = report.of_runs(lab, options.run, lambda done, total: bar.draw("Runs", done, total))
    if kind == ".html":
        data = report.html(made, lab, time.time()).encode()
    else:
        data = report.markdown_zip(made, time.time())
    try:
        write_bytes(os.path.abspath(options.out), data)
    except OSError as error:
        raise EngineError(f"{options.out} cannot be written: {error.strerror}.") from error
    seconds = time.monotonic() - began
    answer = {"file": os.path.abspath(options.out), "bytes": len(data), "seconds": round(seconds, 2)}
    return said(options, answer, f"{options.out}: {made.title}, {len(data) / 1e6:.1f} MB in {seconds:.1f} s.")
