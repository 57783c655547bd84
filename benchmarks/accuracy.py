"""What is learned: three seeds, the lane chosen by validation, judged on the testing split of the 10 / 10 split."""

import statistics
import tempfile
from pathlib import Path

from benchmarks.measure import finish, record, table
from engine import assets, photos
from engine.contract import catalog
from engine.contract.kinds.race import LaneResult, RaceResult, RaceSpec
from engine.contract.run_folder import LabHome
from tests.assets_home import with_assets

SEEDS = (0, 1, 2)


def run(folder: Path) -> None:
    source = with_assets("mobilenet_v2", "efficientnet_lite0", "traffic_lights")
    sets = [(f"Flowers, the folder given ({folder.name})", folder)]
    sets.append(("Traffic lights", Path(source.assets, "traffic_lights", "photos")))
    rows = []
    with tempfile.TemporaryDirectory() as scratch:
        home = LabHome(scratch)
        Path(home.assets).symlink_to(source.assets)
        for title, root in sets:
            dataset = photos.split(photos.scan(root, title), 10, 10)
            for row in [each for each in catalog.BACKBONES if assets.find_backbone(source, each)]:
                rows.append([title, row.title, *_figures(home, dataset, row.name)])
    record(
        "Accuracy",
        table(["photos", "backbone", "used", "in testing", "kept rates", "testing accuracy of each seed", "mean"], rows)
        + "\n\nRates 0.005, 0.5 and 1.0, everything else as retrain.py's defaults; the split is by `<class>/<file>`.",
    )


def _figures(home: LabHome, dataset, backbone: str) -> list[str]:
    kept, accuracies, images, testing = [], [], 0, 0
    for seed in SEEDS:
        run = finish(home, dataset, RaceSpec(backbone=backbone, seed=seed))
        result = run.story.last(RaceResult)
        assert result
        kept.append(result.kept)
        accuracies.append(run.story.by_lane(LaneResult)[result.kept].test_accuracy)
        images, testing = result.images, result.testing
    each = ", ".join(f"{accuracy:.3f}" for accuracy in accuracies)
    return [f"{images:,}", f"{testing:,}", ", ".join(kept), each, f"{statistics.mean(accuracies):.3f}"]
