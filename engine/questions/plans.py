"""What would answer a question that has no run yet: which run, on which photos, and what it takes."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from engine import assets, photos
from engine.contract import catalog, choices, kinds
from engine.errors import EngineError, PhotosError
from engine.kinds.race import device_comparison
from engine.kinds.rows import RunRow
from engine.machine import devices
from engine.models import samples
from engine.photos import Source
from engine.questions import evidence
from engine.questions.evidence import DEVICES, Query
from engine.settings import Settings
from engine.words import count, plain

FLOWERS, TRAFFIC_LIGHTS = "flower_photos", "traffic_lights"


@dataclass(frozen=True)
class Plan:
    """What would answer a query."""

    query: Query
    spec: Any  # of engine/contract/specs.py; of a comparison of devices, what its parts have in common
    source: Source | None  # of its photos, which are here
    photos: int
    fetch: str  # the name of the asset that has to be fetched first, or ""
    own: bool  # nobody has brought photos of their own yet
    seconds: float  # that it takes, about
    guessed: bool  # nothing like it has run here

    @property
    def can_start(self) -> bool:
        return not self.fetch and not self.own


class Planner:
    """Plans by what is on this machine now. `rows`: all runs, newest first; `counted`: set -> its photos."""

    def __init__(
        self, settings: Settings, rows: Sequence[RunRow], has_gpu: bool, counted: Callable[[Source], int] | None = None
    ) -> None:
        self._settings, self._rows, self._has_gpu = settings, rows, has_gpu
        self._counted = counted or (lambda source: count_photos(settings, source.key))

    def plan(self, asked: Query) -> Plan:
        home = self._settings.home
        spec = evidence.spec(asked, home)
        if not asked.device and self._has_gpu:
            spec = spec._replace(device=choices.GPU)
        source, fetch = None, ""
        if kinds.contract(evidence.kind_of(asked).name).HAS_DATASET:
            source = self._source(asked.own)
            if source is None and not asked.own:
                fetch = TRAFFIC_LIGHTS
        if (data := getattr(spec, "data", "")) and assets.find(home, data) is None:
            fetch = data
        if asked.backbone and assets.find_backbone(home, row := catalog.backbone(spec.backbone)) is None:
            fetch = row.asset
        number = self._counted(source) if source else 0
        kind = evidence.kind_of(asked)
        known = kind.seconds(self._rows, spec, number)
        seconds = known if known is not None else kind.guess(spec, number or 1484)
        return Plan(asked, spec, source, number, fetch, asked.own and source is None, seconds, known is None)

    def _source(self, own: bool) -> Source | None:
        """Flowers where they are here, else the set that was used last, else traffic lights, else whatever there is."""
        here = [source for source in photos.sources(self._settings) if source.root is not None]
        if own:
            here = [source for source in here if not source.attribution]
        used = {row.data: number for number, row in reversed(list(enumerate(self._rows))) if row.photos}
        order = {FLOWERS: -2} if not own else {}

        def rank(source: Source) -> tuple[int, bool]:
            return order.get(source.key, used.get(source.title, len(used) + 10_000)), source.key != TRAFFIC_LIGHTS

        return min(here, key=rank, default=None)


def count_photos(settings: Settings, key: str) -> int:
    """Photos in a set, by their names."""
    try:
        return len(samples.listed(settings, key).photos)
    except PhotosError:
        return 0


def each_once(found: Iterable[Plan]) -> list[Plan]:
    """Those that can start now, without what another one of them answers too."""
    ready = list({planned.query: planned for planned in found if planned.can_start}.values())
    for planned in list(ready):
        asked = planned.query
        others = [other.spec for other in ready if other is not planned and (other.query.own or not asked.own)]
        if any(evidence.fits(asked, spec) for spec in others):
            ready.remove(planned)
    return ready


def runs(found: Plan, ask: Callable[[], devices.Devices]) -> list[Any]:
    """The specs to start: of one run, or of both halves of a comparison of devices. Raises EngineError with a sentence.

    `ask`: what there is to compute on; TensorFlow is loaded for it, so it is asked only where that matters.
    """
    if found.query.kind == DEVICES:
        halves = device_comparison.halves_to_start(found.spec, ask())
        if len(halves) < 2:
            raise EngineError("This machine has one core and no GPU: there is nothing to compare.")
        return list(halves)
    if found.spec.device == choices.GPU:
        devices.check(found.spec, ask())
    return [found.spec]


# --- in words --------------------------------------------------------------------------------------------------------


def words(found: Plan) -> str:
    """ "a run of Retraining with MobileNet v2 at lr 0.005, 0.5 and 1.0 on Flowers, 3,670 photos", as Markdown"""
    asked, spec, kind = found.query, found.spec, evidence.kind_of(found.query)
    said = f" with {catalog.backbone(spec.backbone).title}" if asked.backbone else ""
    said += kind.in_a_plan(spec)
    if found.source:
        said += f" on {plain(found.source.title)}, {count(found.photos, 'photo')}"
    what = "two runs of Retraining, one on each device," if asked.kind == DEVICES else f"a run of {kind.title}"
    return f"{what}{said}"


def price(found: Sequence[Plan]) -> str:
    """ "about 30 s", "about 14 min", "about 1 h 20 min": as rough as it is known."""
    seconds = sum(each.seconds for each in found)
    if seconds < 55:
        return f"about {max(1, round(seconds)) if seconds < 10 else 5 * round(seconds / 5)} s"
    minutes = round(seconds / 60)
    return f"about {minutes} min" if minutes < 60 else f"about {minutes // 60} h {minutes % 60:02d} min"
