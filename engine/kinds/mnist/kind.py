"""The comparison of networks for digits."""

import io
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from PIL import Image

from engine.charts import curve_charts, mnist_charts
from engine.contract import catalog, events, layers
from engine.contract.kinds.mnist import MnistSpec, NetworkResult
from engine.contract.run_folder import RunFolder
from engine.kinds import curve_lines, results, settings
from engine.kinds.blocks import Block, Chart, Picture, Pictures, Table, Text
from engine.kinds.compared import Side, tested
from engine.kinds.forecast import MULTIPLY_ADDS, STARTING
from engine.kinds.kind import Kind, ModelOfRun
from engine.kinds.mnist import comparison, explanations, figures, forecast, tables
from engine.kinds.rows import CURVE_POINTS, Learned, RunRow
from engine.runs import Curve, Run
from engine.settings import Settings
from engine.stats import confusion, thin
from engine.words import count, duration, percent

ENLARGED = 4  # times, of a digit


class Mnist(Kind[MnistSpec]):
    title = "MNIST comparison"
    stays = "The images stay."
    figures = figures.MNIST
    block_ids = ("curves", "results", "cost")
    data_word = "digits"
    whole_split = True

    def row(self, run: Run[MnistSpec], row: RunRow, lane: str, spent: Mapping[str, float]) -> RunRow:
        """`lane`: the best by validation; "" where no network holds anything out, and then the first one speaks."""
        networks: list[catalog.Network] = list(run.spec.networks)
        data = catalog.digit_set(run.spec.data).title
        results = run.story.by_lane(NetworkResult)
        final = results.get(lane or networks[0].name)
        if not lane:
            curve = run.story.curves.get((networks[0].name, "training"), Curve())
            row = replace(row, curve=[curve.accuracy[i] for i in thin(len(curve.accuracy), CURVE_POINTS)])
        learned = [
            Learned(each, data, found.test_accuracy, found.validation_accuracy, found.train_seconds,
                    found.images_per_second)
            for each in networks
            if (found := results.get(each.name))
        ]  # fmt: skip
        what = networks[0].title if len(networks) == 1 else count(len(networks), "network")
        return replace(
            row,
            short=f"{data} · {what}",
            data=data,
            models=tuple(network.title for network in networks),
            accuracy=final.test_accuracy if final else None,
            contents=f"weights and exported files of {count(len(networks), 'network')}",
            networks=tuple(learned),
            took=(row.seconds or 0.0) - spent.get(events.TRAINING, 0.0),  # of everything but training
        )

    def settings(self, run: Run[MnistSpec]) -> dict[str, str]:
        spec = run.spec
        networks = spec.networks
        return {
            "Data": catalog.digit_set(spec.data).title,
            "Networks": networks[0].title if len(networks) == 1 else str(len(networks)),
            "Epochs": str(spec.epochs),
            "Images": f"{spec.training_images:,}" if spec.training_images else "All",
            "Batch": settings.each(f"{network.batch_size:,}" for network in networks),
            "Learning rate": settings.each(f"{network.learning_rate:g}" for network in networks),
            "Device": spec.device.upper(),
            "Seed": str(spec.seed),
        }

    def more_settings(self, run: Run[MnistSpec]) -> dict[str, str]:
        """How each network is made and learns, apart from its batch and its learning rate."""
        networks: list[catalog.Network] = list(run.spec.networks)
        made = [f"{each.title} ({layers.parameters(layers.costs(layers.read(each.layers))):,})" for each in networks]
        return {
            "Networks and parameters": ", ".join(made),
            "Optimizer": settings.each("Adam" if each.optimizer == catalog.ADAM else "SGD" for each in networks),
            "Schedule": settings.each(each.schedule.replace("_", " ") for each in networks),
            "Label smoothing": settings.each(f"{each.label_smoothing:g}" for each in networks),
            "Moved images": settings.each("yes" if each.augmentation else "no" for each in networks),
            "Held out": settings.each(f"{each.validation_images:,}" for each in networks),
        }

    def results(self, run: Run[MnistSpec], lab: Settings, height: int) -> Iterator[Block]:
        rows = comparison.network_rows(run)
        if len(rows) == len(run.lanes):
            yield results.verdict(comparison.verdict(run))
        drawn = curve_lines.network_lines(
            run.story, run.titles, curve_charts.BOTH, curve_charts.ACCURACY, curve_charts.EPOCHS, 0.9
        )
        if drawn:
            yield Chart(
                lambda dark: curve_charts.curves(
                    drawn,
                    list(run.titles.values()),
                    measure=curve_charts.ACCURACY,
                    axis=curve_charts.EPOCHS,
                    end=curve_lines.networks_end(run.story, run.spec.epochs, curve_charts.EPOCHS),
                    height=height,
                    dark=dark,
                ),
                f"Accuracy of {count(len(run.lanes), 'network')}: "
                f"{curve_charts.networks_in_words(drawn, curve_charts.ACCURACY)}",
                "Accuracy over the epochs",
                "Full lines: validation, once an epoch. Thin lines: training, with dropout and moved images. A network "
                "that holds no images out has its training in full.",
                "curves",
                _epochs(run),
                "curves",
            )
        if not rows:
            return
        yield Table(tables.networks(rows), "Results", "Each network met the test images once, at its end.", "results")
        yield Chart(
            lambda dark: mnist_charts.accuracy_against_cost(rows, "train_seconds", height, dark),
            "; ".join(f"{row.title}: {percent(row.test_accuracy)} in {duration(row.train_seconds)}" for row in rows)
            + ".",
            "Accuracy against training time",
            id="cost",
        )
        for each in explanations.explanations(run):
            yield Text(f"**{each.title}**  \n{each.text}")
        if answers := comparison.answers_of(run):
            labels, best = catalog.digit_set(run.spec.data).labels, rows[0]
            if best.lane in answers.predicted:
                counts = confusion(answers.truth, answers.predicted[best.lane], len(labels))
                yield from results.confusion_blocks(counts, labels, "image", f"{best.title}: " if len(rows) > 1 else "")
        yield from _hardest_digits(run)

    def side(self, run: Run[MnistSpec], side: Side) -> Side:
        found = run.story.by_lane(NetworkResult).get(side.lane)
        if found is None:
            return side
        return replace(side, validation=found.validation_accuracy, tested=tested(found.test_accuracy, found.test_n))

    def seconds_left(self, run: Run[MnistSpec]) -> float | None:
        return comparison.seconds_left(run)

    def measured_on(self, run: Run[MnistSpec]) -> tuple[Any, ...]:
        return (run.spec.data,)

    def models(self, folder: RunFolder, spec: MnistSpec, contract: Any, photos: str) -> Iterable[ModelOfRun]:
        data = catalog.digit_set(spec.data).title
        for network in contract["networks"]:
            yield ModelOfRun(network["name"], f"{data} · {network['title']}", is_digit=True)

    def fits(self, asked: Any, spec: MnistSpec) -> bool:
        """The same layers, learned from all images."""
        named = {network.name: network.layers for network in spec.networks}
        whole = spec.data == self.usual.data and not spec.training_images
        return whole and all(named.get(name) == catalog.network(name).layers for name in asked.networks)

    def asked_for(self, asked: Any) -> dict[str, Any]:
        networks = tuple(catalog.network(name) for name in asked.networks)
        return {"networks": networks, "epochs": max(network.epochs for network in networks)} if networks else {}

    def seconds(self, known: Sequence[RunRow], spec: MnistSpec, photos: int) -> float | None:
        found = forecast.expected(known, spec)
        return None if found.unknown else found.seconds

    def guess(self, spec: MnistSpec, photos: int) -> float:
        images = spec.epochs * forecast.BUILT_IN_IMAGES
        costs = [sum(cost.multiply_adds for cost in layers.costs(layers.read(row.layers))) for row in spec.networks]
        return STARTING + sum(images * (cost / MULTIPLY_ADDS + 1.5e-5) for cost in costs)

    def in_a_plan(self, spec: MnistSpec) -> str:
        return " with " + ", ".join(network.title for network in spec.networks)


def _epochs(run: Run) -> list[dict[str, object]]:
    """Validation as it was measured; of training, whose batches are thousands, the mean of each epoch."""
    found = results.evaluations(run, [curve_charts.VALIDATION])
    for lane, started in run.story.lanes_started.items():
        curve = run.story.curves.get((lane, curve_charts.TRAINING), Curve())
        ends: dict[int, list[int]] = {}
        for place, step in enumerate(curve.step):
            ends.setdefault(-(-step // started.steps_an_epoch), []).append(place)
        for places in ends.values():
            accuracy = sum(curve.accuracy[place] for place in places) / len(places)
            found.append(
                {"lane": run.titles.get(lane, lane), "split": curve_charts.TRAINING, "step": curve.step[places[-1]]}
                | {"seconds": curve.seconds[places[-1]], "accuracy": round(accuracy, 5), "cross_entropy": None}
            )
    return found


def _hardest_digits(run: Run) -> Iterator[Block]:
    labels, shown = catalog.digit_set(run.spec.data).labels, []
    for mistake in comparison.hardest(run, results.HARDEST):
        if mistake.pixels is None:
            continue
        said = [f"{run.titles[lane]}: {labels[guess]}" for lane, (guess, _) in mistake.guesses.items()]
        words = (
            f"{labels[mistake.truth]}, taken for: {', '.join(said)}"
            if len(said) > 1
            else (f"{labels[mistake.truth]} → {said[0].rpartition(': ')[2]}")
        )
        image = Image.fromarray(255 - mistake.pixels)
        out = io.BytesIO()
        image.resize([ENLARGED * side for side in image.size], Image.Resampling.NEAREST).save(out, "PNG")
        shown.append(Picture(out.getvalue(), words, f"Test image {mistake.index:,}: {words}"))
    if shown:
        yield Pictures(shown, "Hardest images", "The test images that most networks get wrong.")


KIND = Mnist
