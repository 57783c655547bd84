"""What the dashboard and the command line know of a kind of run; each room has a class with what is its own.

What a room leaves out stays as it is here, so that a new kind needs no more than a title, its settings and its results.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Generic, TypeVar

from engine.contract import kinds, specs
from engine.contract.run_folder import RunFolder
from engine.kinds.blocks import Block
from engine.kinds.compared import Side
from engine.kinds.rows import RunRow
from engine.runs import Run
from engine.settings import Settings

Spec = TypeVar("Spec", bound=specs.Spec)


@dataclass(frozen=True)
class ModelOfRun:
    """What of a finished run answers pictures."""

    lane: str
    title: str  # "Traffic lights · MobileNet v2 · lr 0.01"
    is_kept: bool = True  # has the run's exported files; the others answer from weights of their own
    needs: str = ""  # the backbone whose weights it answers with; "" where its own files are all it takes
    is_digit: bool = False  # takes digits of 28 x 28 pixels


Runs = Sequence[Run]
# A figure of an answer: asked with the runs behind it, mostly one, and a lane, "" for the one that the run kept. Plain
# words, or None where the run has no such figure.
Words = Callable[[Runs, str], str | None]


class Kind(Generic[Spec]):
    """`name`: its key in engine/contract/kinds/."""

    title: ClassVar[str]  # for people
    contents: ClassVar[str] = "settings and figures"  # what the folder of a run holds besides its log
    stays: ClassVar[str] = ""  # what deleting a run leaves, a sentence
    steps_are_epochs: ClassVar[bool] = False  # of its curves
    whole_split: ClassVar[bool] = False  # whether each evaluation is of the whole split, so that nothing is smoothed
    figures: ClassVar[Mapping[str, Words]] = {}  # that answers may name
    block_ids: ClassVar[Sequence[str]] = ()  # of its results, that answers may name

    def __init__(self, name: str) -> None:
        self.name = name

    @property
    def usual(self) -> Any:
        """The spec where nobody chooses anything else."""
        return kinds.contract(self.name).SPEC()

    # --- one run -----------------------------------------------------------------------------------------------------

    def row(self, run: Run[Spec], row: RunRow, lane: str, spent: Mapping[str, float]) -> RunRow:
        """The row of a run in tables, completed.

        `lane`: the kept one, or the best by validation so far, "" without; `spent`: seconds by stage. May raise for a
        damaged folder.
        """
        return row

    def settings(self, run: Run[Spec]) -> dict[str, str]:
        """What the run was asked for, as people read it, the shortest first."""
        return {name.replace("_", " ").capitalize(): str(value) for name, value in run.spec._asdict().items()}

    def more_settings(self, run: Run[Spec]) -> dict[str, str]:
        """What only those want to know who look for it."""
        return {}

    def results(self, run: Run[Spec], lab: Settings, height: int) -> Iterator[Block]:
        """What it found, for a report or a screen; `height` of curves in pixels. May raise for a damaged folder."""
        return iter(())

    def seconds_left(self, run: Run[Spec]) -> float | None:
        """Of the current stage, where its kind knows better than by the share that is done."""
        return None

    # --- beside others -----------------------------------------------------------------------------------------------

    data_word: ClassVar[str] = "photos"  # what it is validated on
    not_compared: ClassVar[tuple[str, str]] = ("", "")  # why none of its runs is called better: conclusion and reasons
    judged_by_test: ClassVar[bool] = False  # nothing is chosen by validation

    def lane_title(self, run: Run[Spec], lane: str) -> str:
        """What the run is called beside others: its best lane."""
        return run.titles.get(lane, "")

    def side(self, run: Run[Spec], side: Side) -> Side:
        """A run beside others, with the accuracies of the side's lane. May raise for a damaged folder."""
        return side

    def measured_on(self, run: Run[Spec]) -> tuple[Any, ...] | None:
        """Equal where validation figures may be compared; None where nobody knows."""
        try:
            held_out = frozenset((photo.file, photo.split) for photo in run.dataset.photos if photo.split != "training")
            return run.dataset.root, held_out
        except (OSError, ValueError, LookupError, TypeError):  # no dataset, or a damaged one
            return None

    # --- its models --------------------------------------------------------------------------------------------------

    def models(self, folder: RunFolder, spec: Spec, contract: Any, photos: str) -> Iterable[ModelOfRun]:
        """What of a finished run answers pictures, the kept one first; `contract`: its contract.json, `photos`: their
        title. May raise for a damaged folder."""
        return ()

    # --- questions ---------------------------------------------------------------------------------------------------

    def fits(self, asked: Any, spec: Spec) -> bool:
        """Whether a run of that spec answers a query (engine/questions/evidence.py), beyond its kind, device and
        backbone."""
        return True

    def asked_for(self, asked: Any) -> dict[str, Any]:
        """The fields of the spec that a query sets, besides device and backbone."""
        return {}

    def blocks_of(self, runs: Runs, lab: Settings, height: int) -> Iterator[Block]:
        """The charts and tables that an answer may show."""
        return self.results(runs[0], lab, height)

    def seconds(self, known: Sequence[RunRow], spec: Spec, photos: int) -> float | None:
        """How long such a run takes here, from earlier ones; None where nothing like it has run."""
        return None

    def guess(self, spec: Spec, photos: int) -> float:
        """The same where nothing like it has run: seconds on two cores of a laptop."""
        return 60.0

    def machine(self, spec: Spec) -> str:
        """What it computes on, as people read it."""
        return spec.device.upper()

    def in_a_plan(self, spec: Spec) -> str:
        """ " at lr 0.005 and 0.5": what is varied, behind "a run of Retraining"; Markdown."""
        return ""
