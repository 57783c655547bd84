"""The figures of a comparison of networks that answers may name."""

from collections.abc import Callable

from engine.kinds import figures
from engine.kinds.compared import Tested, in_words
from engine.kinds.kind import Runs, Words
from engine.kinds.mnist import comparison
from engine.words import count, many, short_duration


def _of_network(say: Callable[[comparison.NetworkRow], str | None]) -> Words:
    def words(runs: Runs, lane: str) -> str | None:
        row = next((row for row in comparison.network_rows(runs[0]) if lane in ("", row.lane)), None)
        return None if row is None else say(row)

    return words


MNIST: dict[str, Words] = {
    "test_accuracy": _of_network(lambda row: in_words(row.test_accuracy, row.test_n)),
    "tested": _of_network(lambda row: str(Tested(row.test_accuracy, row.test_low, row.test_high, row.test_n))),
    "wrong": _of_network(lambda row: f"{row.wrong:,} of {row.test_n:,}"),
    "parameters": _of_network(lambda row: f"{row.parameters:,}"),
    "multiply_adds": _of_network(lambda row: many(row.multiply_adds)),
    "training": _of_network(lambda row: short_duration(row.train_seconds)),
    "epochs": lambda runs, lane: count(runs[0].spec.epochs, "epoch"),
    **figures.concluded(comparison.verdict),
}
