"""What would answer a question that has no run yet: which run, on which photos, and what it takes."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from engine import assets, forecast, photos
from engine.contract import catalog, choices, kinds, layers, specs
from engine.contract.kinds.batch_size import BatchSizeSpec
from engine.contract.kinds.fine_tuning import FineTuningSpec
from engine.contract.kinds.learning_curve import LearningCurveSpec
from engine.contract.kinds.mnist import MnistSpec
from engine.contract.kinds.race import RaceSpec, lane_name
from engine.errors import EngineError, PhotosError
from engine.kinds.race import device_comparison
from engine.machine import devices
from engine.models import samples
from engine.photos import Source
from engine.questions import evidence
from engine.questions.evidence import DEVICES, Query
from engine.run_views.run_rows import KINDS, RunRow
from engine.settings import Settings
from engine.words import count, plain

FLOWERS, TRAFFIC_LIGHTS = "flower_photos", "traffic_lights"
OF_PHOTOS = (kinds.RETRAIN, DEVICES, kinds.FINE_TUNE, kinds.LEARNING_CURVE)


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
        if asked.kind in OF_PHOTOS:
            source = self._source(asked.own)
            if source is None and not asked.own:
                fetch = TRAFFIC_LIGHTS
        if asked.kind == kinds.MNIST and assets.find(home, spec.data) is None:
            fetch = spec.data
        if asked.backbone and assets.find_backbone(home, row := catalog.backbone(spec.backbone)) is None:
            fetch = row.asset
        number = self._counted(source) if source else 0
        known = _known_seconds(self._rows, asked, spec, number)
        seconds = known if known is not None else _guess(asked, spec, number or 1484)
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
    asked, spec, said = found.query, found.spec, ""
    if isinstance(spec, MnistSpec):
        said = " with " + ", ".join(network.title for network in spec.networks)
    elif asked.backbone:
        said = f" with {catalog.backbone(spec.backbone).title}"
    if isinstance(spec, RaceSpec):
        said += " at lr " + ", ".join(lane_name(rate) for rate in spec.learning_rates)
    if found.source:
        said += f" on {plain(found.source.title)}, {count(found.photos, 'photo')}"
    what = "two runs of Retraining, one on each device," if asked.kind == DEVICES else f"a run of {KINDS[asked.kind]}"
    return f"{what}{said}"


def price(found: Sequence[Plan]) -> str:
    """ "about 30 s", "about 14 min", "about 1 h 20 min": as rough as it is known."""
    seconds = sum(each.seconds for each in found)
    if seconds < 55:
        return f"about {max(1, round(seconds)) if seconds < 10 else 5 * round(seconds / 5)} s"
    minutes = round(seconds / 60)
    return f"about {minutes} min" if minutes < 60 else f"about {minutes // 60} h {minutes % 60:02d} min"


# --- what it takes ---------------------------------------------------------------------------------------------------


def _known_seconds(rows: Sequence[RunRow], asked: Query, spec: specs.Spec, number: int) -> float | None:
    """From earlier runs on this machine; None where nothing like it has run."""
    if isinstance(spec, RaceSpec):
        once = forecast.of_retraining(rows, spec, number)
        return once if once is None or asked.kind != DEVICES else 2 * once
    if isinstance(spec, MnistSpec):
        found = forecast.of_comparison(rows, spec)
        return None if found.unknown else found.seconds
    if isinstance(spec, FineTuningSpec):
        depths = forecast.of_depths(rows, spec, number)
        return depths.seconds if depths else None
    if isinstance(spec, BatchSizeSpec):
        sizes = forecast.of_sizes(rows, spec)
        return sizes.seconds if sizes else None
    if isinstance(spec, LearningCurveSpec):  # bottlenecks that are not kept yet come on top
        return forecast.of_trainings(rows, spec, (len(spec.sizes) + 1) * spec.seeds)
    return None


# Of two cores of a laptop, from docs/benchmarks.md: for the first run, which then measures this machine.
_STARTING = 15.0  # seconds of a run around its work
_MULTIPLY_ADDS = 1.5e10  # a second, learning
_PHOTOS = {299: 12.0, 224: 110.0}  # a second, through a backbone of that input


def _guess(asked: Query, spec: specs.Spec, number: int) -> float:
    if isinstance(spec, MnistSpec):
        images = spec.epochs * forecast.BUILT_IN_IMAGES
        costs = [sum(cost.multiply_adds for cost in layers.costs(layers.read(row.layers))) for row in spec.networks]
        return _STARTING + sum(images * (cost / _MULTIPLY_ADDS + 1.5e-5) for cost in costs)
    if isinstance(spec, BatchSizeSpec):
        return 8 * _STARTING
    speed = _PHOTOS.get(catalog.backbone(getattr(spec, "backbone", "mobilenet_v2")).size, 60.0)
    once = _STARTING + number / speed
    if asked.kind == DEVICES:
        return 3 * once  # one of them is slower
    if isinstance(spec, FineTuningSpec):
        return len(spec.blocks) * (_STARTING + spec.epochs * number * 0.01) + once
    return once
