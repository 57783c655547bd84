"""What the networks for digits reach: five seeds, all 60,000 pictures, each network tested once at the end."""

import statistics
import tempfile
from pathlib import Path

from benchmarks.measure import finish, record, table
from engine.contract import catalog
from engine.contract.kinds.mnist import MnistSpec, NetworkResult
from engine.contract.run_folder import LabHome
from tests.assets_home import with_assets

SEEDS = (0, 1, 2, 3, 4)
# Section of docs/benchmarks.md, networks that learn side by side, for as many epochs, with these seeds
ASKED = (
    ("Digits, beginner", ("beginner",), 5, SEEDS),
    ("Digits, coursework", ("coursework_as_handed_in", "coursework_as_meant"), 7, SEEDS[:1]),
    ("Digits, small", ("small",), 10, SEEDS),
    ("Digits, strong", ("strong",), 8, SEEDS),
)


def run() -> None:
    for section, names, epochs, seeds in ASKED:
        measure(section, names, epochs, seeds)


def measure(section: str, names: tuple[str, ...], epochs: int, seeds: tuple[int, ...]) -> None:
    source = with_assets("mnist")
    networks = tuple(catalog.network(name) for name in names)
    found: dict[str, list[NetworkResult]] = {name: [] for name in names}
    with tempfile.TemporaryDirectory() as scratch:
        home = LabHome(scratch)
        Path(home.assets).symlink_to(source.assets)
        for seed in seeds:
            asked = MnistSpec(networks=networks, epochs=epochs, seed=seed)
            for name, result in finish(home, None, asked).story.by_lane(NetworkResult).items():
                found[name].append(result)
                print(name, seed, f"{result.test_accuracy:.4f} {result.train_seconds:.0f} s", flush=True)
    rows = [_row(network, epochs, found[network.name]) for network in networks]
    header = ["network", "parameters", "epochs", "test accuracy of each seed", "median", "validation", "seconds"]
    record(
        section,
        table(header, rows) + "\n\nMNIST, 10,000 test digits, met once at the end; seconds are the median of training "
        "alone. All but the beginner's network hold out the last 5,000 of the 60,000 for validation.",
    )


def _row(network: catalog.Network, epochs: int, results: list[NetworkResult]) -> list[str]:
    accuracies = [result.test_accuracy for result in results]
    checked = [result.validation_accuracy for result in results if result.validation_accuracy is not None]
    return [
        network.title,
        f"{results[0].parameters:,}",
        str(epochs),
        ", ".join(f"{accuracy:.4f}" for accuracy in accuracies),
        f"{statistics.median(accuracies):.4f}",
        f"{statistics.median(checked):.4f}" if checked else "–",
        f"{statistics.median(result.train_seconds for result in results):.0f}",
    ]
