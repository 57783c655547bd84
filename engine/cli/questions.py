"""python -m engine questions: which answers this machine's runs stand behind, and what is missing."""

import argparse

from engine import settings
from engine.cli.answers import DONE, add_json, print_json


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_json(parser)
    parser.set_defaults(command=_list_questions)


def _list_questions(options: argparse.Namespace, lab: settings.Settings) -> int:
    from engine import evidence, questions

    find, rows = evidence.finder(lab), []
    for question in questions.pinned(questions.read_all(), lab.home):
        found = {name: find(query) for name, query in question.runs.items()}
        runs = [run.id for each in found.values() for run in each.runs]
        missing = [name for name, each in found.items() if not each.runs]
        rows.append({"number": question.number, "question": question.question, "runs": runs, "missing": missing})
        if not options.json:
            state = f"missing: {', '.join(missing)}" if missing else "measured here" if runs else ""
            print(f"{question.title:32}  {state:32}  {' '.join(runs)}".rstrip())
    if options.json:
        print_json({"questions": rows})
    return DONE
