"""A kind of run in one file: a coin is tossed many times. CONTRIBUTING.md explains by it how to add a kind.

In the product each part below is a module of its own, named as the kind, on the floor that its heading names. As a
program, `python -m tests.toy_kind RUN_FOLDER LOCK_DESCRIPTOR`, it is the workers' program with this kind in the table.
"""

import argparse
import random
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, NamedTuple

from engine.contract import choices, kinds
from engine.contract.run_folder import RunFolder

if TYPE_CHECKING:
    from engine.kinds.blocks import Block
    from engine.kinds.rows import RunRow
    from engine.runs import Run
    from engine.settings import Settings
    from engine.worker.reporter import Reporter

# --- engine/contract/kinds/: what it is asked for, and what it reports -----------------------------------------------


class CoinSpec(NamedTuple):
    """How often heads come up."""

    tosses: int = 200  # 1 to 100,000
    seed: int = 0
    device: str = choices.CPU

    def run_title(self, photos: str, number: int | None, backbone: str) -> str:
        return f"A coin · {self.tosses:,} tosses"

    def lane_names(self) -> list[str]:
        return []

    def lane_titles(self) -> list[str]:
        return []

    def faults(self) -> list[str]:
        found: list[str] = []
        choices.within(found, "Tosses", self.tosses, 1, 100_000)
        choices.seed(found, self.seed)
        choices.device(found, self.device)
        return found


class Tossed(NamedTuple):
    """A block of tosses."""

    t: float
    tosses: int
    heads: int


SPEC = CoinSpec
HAS_DATASET = False
STAGES = ("Tossing",)
EVENTS = {"tossed": Tossed}


# --- engine/worker/: what computes it --------------------------------------------------------------------------------


def run(spec: CoinSpec, folder: RunFolder, report: "Reporter") -> None:
    from engine.worker.reporter import RunCancelled

    report.stage("Tossing", spec.tosses)
    chance, done = random.Random(spec.seed), 0
    while done < spec.tosses:
        if report.stop():
            raise RunCancelled()
        block = min(100, spec.tosses - done)
        report.tell(Tossed, tosses=block, heads=sum(chance.random() < 0.5 for _ in range(block)))
        done += block
        report.progress(done)
        time.sleep(0.01)


# --- engine/kinds/: what the dashboard and the command line know of it -----------------------------------------------


def counted(run: "Run[CoinSpec]") -> tuple[int, int]:
    """Tosses and heads so far."""
    told = run.story.every(Tossed)
    return sum(event.tosses for event in told), sum(event.heads for event in told)


def in_words(run: "Run[CoinSpec]") -> str:
    tosses, heads = counted(run)
    return f"{heads:,} heads in {tosses:,} tosses"


def KIND(name: str):
    from engine.kinds.blocks import Table, Text
    from engine.kinds.kind import Kind

    class Coin(Kind[CoinSpec]):
        title = "Coin"
        stays = "The coin stays."
        figures = {"heads": lambda runs, lane: f"{counted(runs[0])[1]:,}"}  # noqa: RUF012
        block_ids = ("tosses",)

        def row(self, run: "Run[CoinSpec]", row: "RunRow", lane: str, spent: Mapping[str, float]) -> "RunRow":
            tosses, heads = counted(run)
            return replace(row, short=f"Coin · {run.spec.tosses:,}", accuracy=heads / tosses if tosses else None)

        def settings(self, run: "Run[CoinSpec]") -> dict[str, str]:
            return {"Tosses": f"{run.spec.tosses:,}", "Seed": str(run.spec.seed)}

        def results(self, run: "Run[CoinSpec]", lab: "Settings", height: int) -> Iterator["Block"]:
            tosses, heads = counted(run)
            yield Text(f"**{in_words(run)}.**")
            yield Table([{"Tosses": f"{tosses:,}", "Heads": f"{heads:,}"}], "Results", id="tosses")

    return Coin(name)


# --- ui/kinds/: its form and what its page shows ---------------------------------------------------------------------

MODES = {"coin": "Toss a coin"}
PAGE = "pages/retraining.py"
CONTENTS = CONTENTS_CANCELLED = ""
LOST = "The tosses so far are below."


@dataclass(frozen=True)
class Form:
    spec: CoinSpec
    start: bool


def form(mode: str) -> Form:
    import streamlit as st

    from ui import parts

    parts.say_copied()
    spec = CoinSpec(
        tosses=st.number_input("Tosses", 1, 100_000, 200, key="coin_tosses", persist_state="session"),
        seed=st.number_input("Seed", 0, 1000, 0, key="coin_seed", persist_state="session"),
    )
    return Form(spec, parts.start_button("Toss", spec.faults()))


def start(form: Form) -> None:
    from ui import parts

    parts.start_run(form.spec)


def describe(form: Form) -> None:
    from ui import parts

    parts.empty("Heads or tails", "Start a run, and what it finds is shown here.")


def mode_of(run: "Run[CoinSpec]") -> str:
    return "coin"


def fill(run: "Run[CoinSpec]") -> list[str]:
    import streamlit as st

    st.session_state["coin_tosses"], st.session_state["coin_seed"] = run.spec.tosses, run.spec.seed
    return []


def results(run: "Run[CoinSpec]") -> None:
    import streamlit as st

    from engine import kinds as engine_kinds
    from ui import parts

    st.markdown(f"**{in_words(run)}.**")
    parts.settings_table(engine_kinds.of(run).settings(run))


def show(shown: "Run[CoinSpec] | str") -> Form | None:
    """Two modules in the product, with a `show` each."""
    return form(shown) if isinstance(shown, str) else results(shown)


def time_left(run: "Run[CoinSpec]", now: float) -> str:
    return in_words(run)


note = time_left


# --- engine/cli/: its command ----------------------------------------------------------------------------------------

NAME, HELP = "coin", "toss a coin many times"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    from engine.cli.answers import add_json

    parser.add_argument("--tosses", type=int, default=CoinSpec().tosses)
    add_json(parser)
    parser.set_defaults(command=_command)


def _command(options: argparse.Namespace, lab: "Settings") -> int:
    from engine.cli.following import carry_out

    spec = CoinSpec(tosses=options.tosses)
    return carry_out(
        options, lab, spec, None,
        report=lambda run: {"run": run.id, "heads": counted(run)[1]},
        last_lines=lambda run: [in_words(run)],
    )  # fmt: skip


# --- engine/contract/kinds/__init__.py: its line in the table --------------------------------------------------------

HERE = "tests.toy_kind"
ROOMS = kinds.Rooms(contract=HERE, worker=HERE, engine=HERE, form=HERE, results=HERE, command=HERE)

if __name__ == "__main__":
    from engine.worker.__main__ import main

    kinds.KINDS["coin"] = ROOMS
    sys.exit(main(RunFolder(sys.argv[1]), int(sys.argv[2])))
