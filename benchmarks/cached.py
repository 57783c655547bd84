"""A second run of 3,670 photos: how soon it trains, and how much memory the worker needs."""

import shutil
import tempfile
from pathlib import Path

from benchmarks.measure import finish, record, table
from engine import photos
from engine.contract import events
from engine.contract.kinds.race import RaceResult, RaceSpec
from engine.contract.run_folder import LabHome
from tests.assets_home import with_assets

PHOTOS = 3670  # as many as flower_photos has
WIDTH_BYTES = 1280 * 4


def run(folder: Path) -> None:
    source = with_assets("mobilenet_v2")
    with tempfile.TemporaryDirectory() as scratch:
        home = LabHome(scratch + "/lab")
        Path(home.path).mkdir()
        Path(home.assets).symlink_to(source.assets)
        root = Path(scratch, "flowers")
        _multiply(folder, root)
        dataset = photos.split(photos.scan(root, "Flowers"), 10, 10)
        first, second = [finish(home, dataset, RaceSpec()) for _ in range(2)]
    rows = []
    for name, run in (("first", first), ("second", second)):
        story = run.story
        stage = {s.name: s for s in story.stages}
        result = story.last(RaceResult)
        assert result
        running = story.time_of(events.RUNNING)
        assert running
        rows.append(
            [
                name,
                f"{result.computed:,} / {result.cached:,}",
                f"{stage['Scanning'].began - running:.2f} s",
                f"{stage['Training'].began - stage['Scanning'].began:.2f} s",
                f"{result.race_seconds:.2f} s",
                f"{run.seconds:.1f} s",
                f"{result.peak_memory_bytes / 1e6:,.0f} MB",
            ]
        )
    record(
        "Cached run",
        table(
            ["run", "computed / cached", "loading", "scanning to training", "race, 3 lanes", "in total", "peak memory"],
            rows,
        )
        + f"\n\n{PHOTOS:,} photos (600 different ones, each copied with another last byte), MobileNet v2. The vectors "
        f"themselves are {PHOTOS * WIDTH_BYTES / 1e6:.0f} MB. TensorFlow is loaded while exporting, which is the peak.",
    )


def _multiply(folder: Path, root: Path) -> None:
    sources = sorted(folder.glob("*/*.jpg"))
    for number in range(PHOTOS):
        source = sources[number % len(sources)]
        target = root / source.parent.name / f"{number:04d}_{source.name}"
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(source, target)
        with open(target, "ab") as file:  # behind the end of the JPEG: other content, the same picture
            file.write(str(number).encode())
