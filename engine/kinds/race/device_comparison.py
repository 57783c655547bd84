"""The same run on two devices, or with one thread and with all: what each half took, and what that says.

Halves are runs with the same group in their specs. Chart, table and sentences read the figures made here.
"""

import itertools
import secrets
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from engine.contract import choices, events
from engine.contract.kinds.race import LaneResult, RaceResult, RaceSpec
from engine.kinds.race.curves import Plateau, plateau
from engine.machine import sampler
from engine.machine.device import Reading
from engine.machine.devices import Devices
from engine.runs import Curve, Run
from engine.stats import Verdict
from engine.words import duration, join

LEVEL = 1.05  # ratios below this are no difference


def halves_to_start(spec: RaceSpec, found: Devices) -> list[RaceSpec]:
    """The runs that a comparison consists of: each device, or one thread and all; one alone where there is no second.

    None of them reads or keeps bottlenecks, so that each computes all of them.
    """
    alike = spec._replace(use_cache=False, bottleneck_dir="", group=secrets.token_hex(4))
    if found.gpus:
        return [alike._replace(device=device, threads=0) for device in (choices.CPU, choices.GPU)]
    counts = sorted({1, found.cores})
    return [alike._replace(device=choices.CPU, threads=count) for count in counts]


@dataclass(frozen=True)
class Half:
    run: Run
    name: str  # "CPU", "GPU", "1 thread", "2 threads"
    lane: str  # the same in both halves
    seconds: float | None  # from its turn to its end; None until it is done
    bottleneck_seconds: float | None  # wall time; None until that stage has ended
    training_seconds: float | None  # of all lanes together, likewise
    images_per_second: float | None  # through the backbone; so far, while it goes on
    plateau: Plateau | None  # of the lane, seconds since training began
    accuracy: float | None  # 0..1, of the lane on the testing split
    joules: float | None  # of the whole machine while the half had its turn; None where power is not measured
    peak_memory: int | None  # bytes, the kernel's own figure


def halves(group: Iterable[Run]) -> list[Half]:
    """The newest run of each machine, the slower kind first: CPU before GPU, one thread before all."""
    newest: dict[str, Run] = {}
    for run in sorted(group, key=lambda run: run.story.ticket):
        newest[run.spec.machine_title()] = run
    ordered = sorted(newest.values(), key=lambda run: (run.spec.device == choices.GPU, run.spec.threads or 10**6))
    if not ordered:
        return []
    finished = [run for run in ordered if run.story.kept]
    lane = (finished or ordered)[0].best_lane
    return [_half(run, lane) for run in ordered]


def _half(run: Run, lane: str) -> Half:
    story, result = run.story, run.story.last(RaceResult)
    ended = {stage.name: stage.ended - stage.began for stage in story.stages if stage.ended is not None}
    # A stage also ends where the run does, however far it came.
    last = story.stages[-1].name if story.stages else ""
    if run.state != events.DONE and not run.is_active:
        ended.pop(last, None)
    speed = None
    through = next((stage for stage in reversed(story.stages) if stage.name == events.BOTTLENECKS), None)
    if result and ended.get(events.BOTTLENECKS):
        speed = result.computed / ended[events.BOTTLENECKS]
    elif through and through.done:
        took = (through.ended or story.last_t) - through.began
        speed = through.done / took if took else None
    tested = story.by_lane(LaneResult).get(lane)
    curve = story.curves.get((lane, "validation"), Curve())
    return Half(
        run=run,
        name=run.spec.machine_title(),
        lane=lane,
        seconds=run.seconds if run.state == events.DONE else None,
        bottleneck_seconds=ended.get(events.BOTTLENECKS),
        training_seconds=ended.get(events.TRAINING),
        images_per_second=speed,
        plateau=plateau(curve, tested.diverged) if tested else None,
        accuracy=tested.test_accuracy if tested else None,
        joules=joules(sampler.of_run(run.folder)) if run.state == events.DONE else None,
        peak_memory=result.peak_memory_bytes if result else None,
    )


def joules(readings: Sequence[Reading]) -> float | None:
    """The energy between the first and the last reading of power; None with fewer than two of the same rail."""
    known = [(reading.t, *reading.watts) for reading in readings if reading.watts]
    total, rails = 0.0, 0
    for (began, rail, before), (ended, other, after) in itertools.pairwise(known):
        if rail == other and ended > began:
            total += (ended - began) * (before + after) / 2
            rails += 1
    return total if rails else None


def verdict(found: Sequence[Half]) -> Verdict:
    """The sentence above the chart, while the halves go on too."""
    broken = [half for half in found if not half.run.is_active and half.run.state != events.DONE]
    if broken:
        return Verdict(" ".join(map(_broken, broken)), _what_stands(found))
    if len(found) < 2:
        return Verdict("The other half of this comparison has been deleted.", _what_stands(found))
    if active := [half for half in found if half.run.is_active]:
        waiting = join([half.name for half in active])
        return Verdict(f"{waiting} still {'runs' if len(active) == 1 else 'run'}.", _so_far(found))
    slow, fast = sorted(found, key=lambda half: -(half.seconds or 0.0))
    ratio = (slow.seconds or 0.0) / (fast.seconds or 1.0)
    if ratio < LEVEL:
        slow, fast = found[0], found[1]  # what is said of the parts is said of the device that ought to be faster
        conclusion = f"{fast.name} and {slow.name} take the same time end to end."
    else:
        be = "are" if fast.name.endswith("threads") else "is"
        conclusion = f"{fast.name} {be} {ratio:.1f}× faster end to end."
    return Verdict(conclusion, _parts(slow, fast))


def _parts(slow: Half, fast: Half) -> str:
    """ "Backbone features gain 7.0×; training the last layer gains 1.2×, because it is tiny." """
    if not (slow.bottleneck_seconds and fast.bottleneck_seconds):
        return ""
    backbone = slow.bottleneck_seconds / fast.bottleneck_seconds
    said = f"Backbone features {_gain(backbone, 'gain', 'are')}"
    if slow.training_seconds and fast.training_seconds:
        layer = slow.training_seconds / fast.training_seconds
        because = ", because it is tiny" if 1 / LEVEL < layer < backbone else ""  # no reason to be slower
        said += f"; training the last layer {_gain(layer, 'gains', 'is')}{because}"
    return f"{said}."


def _gain(ratio: float, gain: str, be: str) -> str:
    if 1 / LEVEL < ratio < LEVEL:
        return f"{gain} nothing"
    return f"{gain} {ratio:.1f}×" if ratio > 1 else f"{be} {1 / ratio:.1f}× slower"


def _so_far(found: Sequence[Half]) -> str:
    slow, fast = found[0], found[1]
    if slow.bottleneck_seconds and fast.bottleneck_seconds:
        return _parts(slow, fast)
    done = [half for half in found if half.seconds is not None]
    if done:
        return " ".join(f"{half.name} took {duration(half.seconds or 0.0)} end to end." for half in done)
    return "The halves run one after the other, so that none disturbs the other."


def _broken(half: Half) -> str:
    error = half.run.story.error
    if half.run.state == events.CANCELLED:
        return f"{half.name} was stopped."
    if half.run.state == events.LOST:
        return f"{half.name} died without a word."
    return f"{half.name} failed: {error.message if error else 'it did not say why.'}"


def _what_stands(found: Sequence[Half]) -> str:
    done = [half for half in found if half.seconds is not None]
    stands = [f"{half.name} stands: {duration(half.seconds or 0.0)} end to end." for half in done]
    if still := [half.name for half in found if half.run.is_active]:
        stands.append(f"{join(still)} goes on." if len(still) == 1 else f"{join(still)} go on.")
    return " ".join(stands)
