"""What a run was said to take against what it took: pairs back to back, with every core and with one."""

import statistics
import tempfile
from pathlib import Path

from benchmarks.measure import ROUNDS, finish, record, table
from engine import photos, settings
from engine.contract import events
from engine.contract.kinds.race import RaceResult, RaceSpec
from engine.contract.run_folder import LabHome
from engine.kinds import prediction
from tests.assets_home import with_assets

BACKBONES = ("mobilenet_v2", "efficientnet_lite0")
MEMORY = ("mobilenet_v1_keras", "inception_v3_keras")  # one run each, for the memory alone


def run(folder: Path) -> None:
    source = with_assets(*BACKBONES, *MEMORY)
    rows = []
    with tempfile.TemporaryDirectory() as scratch:
        home = LabHome(scratch + "/lab")
        Path(home.path).mkdir()
        Path(home.assets).symlink_to(source.assets)
        dataset = photos.split(photos.scan(folder, "Flowers"), 10, 10)
        asked = [(name, threads, ROUNDS) for name in BACKBONES for threads in (0, 1)]
        for name, threads, rounds in asked + [(name, 0, 1) for name in MEMORY]:
            spec = RaceSpec(backbone=name, threads=threads, use_cache=False, steps=100, learning_rates=(0.01,))
            times, memory, took = [], [], []
            for _ in range(rounds):
                told = prediction.predict(home, settings.load().worker_python, spec, dataset)
                done = finish(home, dataset, spec)
                result = done.story.last(RaceResult)
                assert result
                took.append(dict(done.stage_seconds)[events.BOTTLENECKS])
                times.append(told.seconds / took[-1] - 1)
                memory.append(told.memory_bytes / result.peak_memory_bytes - 1)
                print(f"{name} {threads or 'all'}: {told.seconds:.1f} s said, {took[-1]:.1f} s took", flush=True)
            rows.append(
                [
                    name,
                    "1" if threads else "all",
                    f"{statistics.median(took):.1f} s",
                    ", ".join(f"{each:+.0%}" for each in times),
                    f"{max(memory, key=abs):+.1%}",
                ]
            )
    record(
        "Prediction",
        table(["backbone", "threads", "bottlenecks, median", "said too much, each round", "memory, worst"], rows)
        + f"\n\n{len(dataset.photos):,} photos, {prediction.SAMPLE} of them measured right before each run; no cache. "
        "Memory: against the kernel's own figure for the worker.",
    )
