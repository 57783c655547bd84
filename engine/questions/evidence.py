"""What stands behind an answer: a query, the newest finished run that fits it, and what would have to be run otherwise.

A query is the table [runs.NAME] of a question (engine/questions/questions.py). Its keys, all but `kind` optional:

    kind             its name in engine/contract/kinds/; "devices" is the same race on each device, a group of runs
    backbone         names of the catalogue, any of which will do; the first that is here would be run
    learning_rates   lanes that the run must have
    networks         likewise, of a comparison of networks for digits
    blocks           likewise, of fine-tuning; of batch sizes how many blocks learn
    device           "cpu" or "gpu"
    own              true: photos that a visitor uploaded or named, none of the built-in sets
    pinned           the id of a run: that one, whatever is newer
"""

import contextlib
import itertools
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from engine import assets
from engine import kinds as engine_kinds
from engine.contract import catalog, events, hardware, kinds, specs
from engine.contract.run_folder import LabHome, RunFolder, read_json
from engine.errors import RunNotFound
from engine.kinds import results
from engine.kinds.blocks import Block, Chart, Table, Text
from engine.kinds.kind import Kind
from engine.kinds.race import kind as race
from engine.kinds.race.device_comparison import halves
from engine.runs import Run, list_runs
from engine.settings import Settings

DEVICES = "devices"  # the same run on each device: a view of runs of one kind
DEVICES_KIND = race.Devices("retrain")


@dataclass(frozen=True)
class Query:
    kind: str
    backbone: tuple[str, ...] = ()
    learning_rates: tuple[float, ...] = ()
    networks: tuple[str, ...] = ()
    blocks: tuple[int, ...] = ()
    device: str = ""
    own: bool = False
    pinned: str = ""


@dataclass(frozen=True)
class Known:
    """A run as far as a query has to know it."""

    id: str
    state: str
    started: float  # Unix seconds
    spec: Any  # of engine/contract/specs.py
    root: str  # the folder of its photos; "" where it has none, or they cannot be read


def known(folder: RunFolder, state: str, started: float) -> Known:
    """From the files that are written once. Raises OSError, ValueError, KeyError or TypeError for what is no run."""
    root = ""
    with contextlib.suppress(OSError, ValueError, LookupError, TypeError):
        root = str(read_json(folder.dataset)["root"])
    return Known(folder.id, state, started, specs.read(folder.spec), root)


@dataclass(frozen=True)
class Evidence:
    query: Query
    runs: tuple[Run, ...]  # finished: one, or the parts of a comparison; empty where none fits
    pending: tuple[Known, ...] = ()  # fit, and go on or wait
    failed: Known | None = None  # the newest that fits, where it ended otherwise and none is finished or pending
    gone: bool = False  # the run that it is pinned to has been deleted


def query(values: Mapping[str, Any]) -> Query:
    """From TOML. Raises ValueError for what is no query."""
    known = dict(values)
    if unknown := set(known) - set(Query.__dataclass_fields__):
        raise ValueError(f"a query has no {min(unknown)}")
    if known.get("kind") not in (names := (*kinds.KINDS, DEVICES)):
        raise ValueError(f"kind is {known.get('kind')!r}; choose one of {', '.join(names)}")
    for name in ("backbone", "learning_rates", "networks", "blocks"):
        known[name] = tuple(known.get(name, ()))
    found = Query(**known)
    if faults := spec(found).faults():
        raise ValueError(" ".join(faults))
    return found


def check(asked: Query, field: str, options: Mapping[str, str]) -> None:
    """Raises ValueError where runs of this query never have such a figure, chart or table."""
    if field in kind_of(asked).block_ids and not options:
        return
    if field not in kind_of(asked).figures:
        raise ValueError(f"runs of kind {asked.kind} have no figure {field}")
    for name, value in options.items():
        lanes = spec(asked).lane_names()
        if name != "lane" or value not in lanes:
            raise ValueError(f"{field} {name}={value}: choose lane= one of {', '.join(lanes)}")


def kind_of(asked: Query) -> Kind[Any]:
    return DEVICES_KIND if asked.kind == DEVICES else engine_kinds.named(asked.kind)


# --- what fits -------------------------------------------------------------------------------------------------------


def fits(asked: Query, given: Any) -> bool:
    """Whether a run of that spec answers the query, as far as the spec tells."""
    kind = kind_of(asked)
    if type(given) is not type(kind.usual) or (asked.device and given.device != asked.device):
        return False
    return (not asked.backbone or given.backbone in asked.backbone) and kind.fits(asked, given)


def find(asked: Query, known: Iterable[Known], opened: Callable[[str], Run], settings: Settings) -> Evidence:
    """The newest finished run that fits; `opened`: id -> run, raising RunNotFound for one that is gone or damaged."""
    built_in = _built_in(settings) if asked.own else ()
    fitting = [each for each in known if fits(asked, each.spec) and not (asked.own and each.root in built_in)]
    fitting.sort(key=lambda each: (each.started, each.id), reverse=True)
    pending = tuple(each for each in fitting if each.state in (events.QUEUED, events.RUNNING))
    if asked.pinned:
        fitting = [each for each in fitting if each.id == asked.pinned or _group(each) in _groups(asked, fitting)]
        if not fitting:
            return Evidence(asked, (), pending, gone=True)
    runs = (_newest_group if asked.kind == DEVICES else _newest)(fitting, opened)
    if runs:
        return Evidence(asked, runs, pending)
    failed = next((each for each in fitting if each.state in (events.FAILED, events.LOST)), None)
    return Evidence(asked, (), pending, None if pending else failed)


def _groups(asked: Query, fitting: Sequence[Known]) -> set[str]:
    """The comparison that a pinned run is part of; its other parts are pinned with it."""
    return {_group(each) for each in fitting if each.id == asked.pinned and asked.kind == DEVICES}


def _group(each: Known) -> str:
    return getattr(each.spec, "group", "")


def finder(settings: Settings) -> Callable[[Query], Evidence]:
    """`find` over all runs, which are read now."""
    runs = {run.id: run for run in list_runs(settings.home)}
    everything = []
    for run in runs.values():
        with contextlib.suppress(Exception):  # damaged
            everything.append(known(run.folder, run.state, run.started))
    return lambda asked: find(asked, everything, runs.__getitem__, settings)


def _newest(fitting: Sequence[Known], opened: Callable[[str], Run]) -> tuple[Run, ...]:
    """The newest that is done; empty where none is."""
    for each in fitting:
        if each.state == events.DONE and (runs := _open(opened, [each.id])):
            return tuple(runs)
    return ()


def _newest_group(fitting: Sequence[Known], opened: Callable[[str], Run]) -> tuple[Run, ...]:
    """The newest group that is done on two devices at least, with the newest run of each."""
    for group in dict.fromkeys(each.spec.group for each in fitting):
        newest: dict[str, Known] = {}
        for each in fitting:
            if each.spec.group == group and each.state == events.DONE:
                newest.setdefault(each.spec.machine_title(), each)
        runs = _open(opened, [each.id for each in newest.values()]) if len(newest) > 1 else []
        if len(runs) > 1:
            return tuple(half.run for half in halves(runs))
    return ()


def _open(opened: Callable[[str], Run], ids: Sequence[str]) -> list[Run]:
    found = []
    for run_id in ids:
        try:
            found.append(opened(run_id))
        except RunNotFound:
            continue
    return found


def _built_in(settings: Settings) -> set[str]:
    """The folders of the sets that nobody has to bring; "" for those that are not here."""
    found = [assets.find_asset(settings.home, row) for row in assets.ASSETS if row.kind == assets.PHOTOS]
    return {str(path) if path else "" for path in found} | {""}


# --- what would answer it --------------------------------------------------------------------------------------------


def spec(asked: Query, home: LabHome | None = None) -> Any:
    """What to run for it: the lab's usual settings, with what the query names. `home`: where weights are looked for."""
    kind = kind_of(asked)
    changes: dict[str, Any] = {"device": asked.device} if asked.device else {}
    if asked.backbone:
        here = [name for name in asked.backbone if home and assets.find_backbone(home, catalog.backbone(name))]
        changes["backbone"] = (here or list(asked.backbone))[0]
    return kind.usual._replace(**changes, **kind.asked_for(asked))


# --- what it says ----------------------------------------------------------------------------------------------------


def figure(found: Evidence, field: str, options: Mapping[str, str]) -> str | None:
    """One figure in words, plain; None where nothing is measured or its folder is damaged."""
    if not found.runs:
        return None
    try:
        return kind_of(found.query).figures[field](found.runs, options.get("lane", ""))
    except results.DAMAGED:
        return None


def blocks(found: Evidence, field: str, settings: Settings, height: int) -> list[Block]:
    """A chart or a table; nothing where nothing is measured."""
    if not found.runs:
        return []
    try:
        shown = kind_of(found.query).blocks_of(found.runs, settings, height)
        return list(itertools.islice((block for block in shown if _id(block) == field), 1))  # no more is computed
    except results.DAMAGED:
        return [Text("A part of this run cannot be read: its folder is damaged.")]


def _id(block: Block) -> str:
    return block.id if isinstance(block, Chart | Table) else ""


def described(found: Evidence) -> str:
    """Of what, how, on which machine and when: "MobileNet v2, seed 0, CPU, Jetson TX2, 6 cores, 24 Nov 2026".

    There are runs.
    """
    run = found.runs[0]
    what = [
        run.backbone_title if hasattr(run.spec, "backbone") else "",
        f"seed {run.spec.seed}" if hasattr(run.spec, "seed") else "",
        " and ".join(dict.fromkeys(kind_of(found.query).machine(each.spec) for each in found.runs)),
        hardware.describe(run.story.hardware) if run.story.hardware else "",  # earlier versions did not write it down
        time.strftime("%-d %b %Y", time.localtime(run.story.last_t)),
    ]
    return ", ".join(filter(None, what))


def where(found: Evidence) -> str:
    """ "Measured here", or that its runs came from elsewhere. There are runs."""
    places = [run.story.hardware for run in found.runs if run.story.hardware]
    here = hardware.here()
    return "Measured here" if all(hardware.is_same(place, here) for place in places) else "Measured on another machine"
