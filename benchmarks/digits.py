"""What the networks for digits reach: five seeds, all 60,000 pictures, each network tested once at the end."""

import statistics
import tempfile
from pathlib import Path

from benchmarks.measure import finish, record, table
from engine.contract import catalog, specs
from engine.contract.run_folder import LabHome
from tests.assets_home import with_assets

SEEDS = (0, 1, 2, 3, 4)
ASKED = (  # networks that learn for as many epochs, and for how many seeds
    (("beginner",), 5, SEEDS),
    (("small", "strong"), 10, SEEDS),
    (("coursework_as_handed_in", "coursework_as_meant"), 7, SEEDS[:1]),
)


def run() -> None:
    source = with_assets("mnist")
    rows = []
    with tempfile.TemporaryDirectory() as scratch:
        home = LabHome(scratch)
        Path(home.assets).symlink_to(source.assets)
        for names, epochs, seeds in ASKED:
            networks = tuple(catalog.network(name) for name in names)
            found: dict[str, list] = {name: [] for name in names}
            for seed in seeds:
                asked = specs.DEFAULT_MNIST._replace(networks=networks, epochs=epochs, seed=seed)
                for name, result in finish(home, None, asked).story.network_results.items():
                    found[name].append(result)
                    print(name, seed, f"{result.test_accuracy:.4f} {result.train_seconds:.0f} s", flush=True)
            rows += [_row(catalog.network(name), epochs, found[name]) for name in names]
    header = ["network", "parameters", "epochs", "test accuracy of each seed", "median", "validation", "seconds"]
    record(
        "Digits",
        table(header, rows)
        + "\n\nMNIST, 10,000 test digits; seconds are the median of training alone. Networks in one row of the source "
        "learned side by side. All but the beginner's hold out the last 5,000 of the 60,000, on which small and strong "
        "were chosen; each network met the test digits once, at the end.",
    )


def _row(network: catalog.Network, epochs: int, results: list) -> list[str]:
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
