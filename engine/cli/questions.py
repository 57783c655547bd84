"""python -m engine questions: which answers this machine's runs stand behind, and what is missing."""

import argparse
import sys
from typing import TYPE_CHECKING, Any

from engine import settings
from engine.cli.answers import CANCELLED, DONE, FAILED, add_json, print_json
from engine.cli.following import carry_out
from engine.cli.inputs import dataset, fetch_backbone, need
from engine.contract import catalog
from engine.errors import EngineError

if TYPE_CHECKING:
    from engine.questions.evidence import Query
    from engine.questions.plans import Plan, Planner
    from engine.questions.questions import Question


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--measure",
        type=int,
        nargs="*",
        metavar="NUMBER",
        help="first do the runs that these questions miss, one after the other; without numbers those of all",
    )
    add_json(parser)
    parser.set_defaults(command=_questions)


def _questions(options: argparse.Namespace, lab: settings.Settings) -> int:
    from engine.questions import questions

    asked = questions.pinned(questions.read_all(), lab.home)
    numbers = {question.number for question in asked}
    if unknown := set(options.measure or ()) - numbers:
        raise EngineError(f"There is no question {min(unknown)}; they are {min(numbers)} to {max(numbers)}.")
    code = DONE
    if options.measure is not None:
        wanted = set(options.measure) or numbers
        code = _measure([question for question in asked if question.number in wanted], options, lab)
    _list_questions(asked, options, lab)
    return code


def _measure(asked: "list[Question]", options: argparse.Namespace, lab: settings.Settings) -> int:
    """Do the runs that are missing. The exit code: that of the last run that did not end well."""
    from engine.questions import evidence, plans

    find, planner = evidence.finder(lab), _planner(lab)
    queries = [query for question in asked for query in question.runs.values()]
    missing = [query for query in dict.fromkeys(queries) if not find(query).runs]
    _fetch(missing, planner, lab)
    found = [planner.plan(query) for query in missing]
    code = DONE
    for planned in found:
        if not planned.can_start:
            print(f"Left out: {plans.words(planned)}. {_why_not(planned)}", file=sys.stderr)
            code = FAILED
    for planned in plans.each_once(found):
        try:
            ended = _carry_out(planned, options, lab)
        except EngineError as error:
            print(error, file=sys.stderr)
            ended = FAILED
        if ended == CANCELLED:
            return ended
        code = ended or code
    return code


def _fetch(missing: "list[Query]", planner: "Planner", lab: settings.Settings) -> None:
    """The photos, digits and weights that they want; what cannot be had is said."""
    tried = set[str]()
    for query in missing:
        while (name := planner.plan(query).fetch) and name not in tried:
            tried.add(name)
            row = catalog.backbone_of_asset(name)
            try:
                if row:
                    fetch_backbone(lab, row)
                else:
                    need(lab, name)
            except EngineError as error:
                print(error, file=sys.stderr)


def _planner(lab: settings.Settings) -> "Planner":
    from engine import runs
    from engine.kinds import rows
    from engine.machine import device
    from engine.questions import plans

    return plans.Planner(lab, [rows.read(run) for run in runs.list_runs(lab.home)], device.has_gpu())


def _why_not(planned: "Plan") -> str:
    if planned.own:
        return (
            "Nobody has brought photos of their own yet: one folder a class, as a path or a zip on the page Retraining."
        )
    return f"{planned.fetch} is not on this machine."


def _carry_out(planned: "Plan", options: argparse.Namespace, lab: settings.Settings) -> int:
    from engine.machine import devices
    from engine.questions import plans

    print(f"Measuring {plans.words(planned)}, {plans.price([planned])}", file=sys.stderr)
    photos = dataset(planned.source.key, lab, planned.spec) if planned.source else None
    plainly: dict[str, Any] = vars(options) | {"json": False}  # one record at the end, not one for each run
    code = DONE
    for spec in plans.runs(planned, lambda: devices.probe(lab.worker_python)):
        code = code or carry_out(
            argparse.Namespace(**plainly), lab, spec, photos, report=lambda run: {}, last_lines=lambda run: ()
        )
    return code


def _list_questions(asked: "list[Question]", options: argparse.Namespace, lab: settings.Settings) -> None:
    from engine.questions import evidence

    find, rows = evidence.finder(lab), []
    for question in asked:
        found = {name: find(query) for name, query in question.runs.items()}
        runs = [run.id for each in found.values() for run in each.runs]
        missing = [name for name, each in found.items() if not each.runs]
        rows.append({"number": question.number, "question": question.question, "runs": runs, "missing": missing})
        if not options.json:
            places = dict.fromkeys(evidence.where(each).lower() for each in found.values() if each.runs)
            state = f"missing: {', '.join(missing)}" if missing else ", ".join(places)
            print(f"{question.title:32}  {state:32}  {' '.join(runs)}".rstrip())
    if options.json:
        print_json({"questions": rows})
