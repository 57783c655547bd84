"""Why a comparison of networks came out so: what can be learned from a run, with its own numbers.

Sentences read the rows of comparison.py and the run's own curves; what does not apply to its networks is left out.
"""

import itertools
import math
import statistics
from collections.abc import Callable
from dataclasses import dataclass

from engine.contract import catalog, layers
from engine.contract.kinds.mnist import NetworkResult
from engine.kinds.mnist.comparison import answers_of, is_level, network_rows, pictures
from engine.runs import Curve, Run
from engine.stats import frontier
from engine.words import join, many, percent, points, short_duration, short_percent

# A validation loss that ended this much above its lowest, while the training loss fell on, is overfitting; less is
# the wobble from one epoch to the next.
LOSS_RISE = 1.1


@dataclass(frozen=True)
class Explanation:
    title: str
    text: str  # Markdown, two to four sentences


def explanations(run: Run) -> list[Explanation]:
    """What can be learned from this run, with its own numbers; only what applies to its networks."""
    found = [_wide_kernels(run), _dropout(run), _overfitting(run), *_training_aids(run), _next_tenth(run)]
    return [each for each in found if each]


@dataclass(frozen=True)
class Ending:
    """How a network did when it learned no more; None where there is nothing to say it by."""

    training_accuracy: float | None  # 0..1, mean over the last epoch's batches
    training_loss: float | None  # nats, likewise
    validation_accuracy: float | None  # 0..1, after the last epoch
    validation_loss: float | None  # nats, likewise


def ending(run: Run, lane: str) -> Ending:
    """The last epoch of a network so far."""
    training, validation = run.story.curves.get((lane, "training")), run.story.curves.get((lane, "validation"))
    accuracy = loss = None
    if training and training.step:
        accuracy, loss = _epoch_means(training, training.step[-1] - _steps_an_epoch(run, lane), training.step[-1])
    return Ending(
        accuracy,
        loss,
        validation.accuracy[-1] if validation and validation.step else None,
        validation.cross_entropy[-1] if validation and validation.step else None,
    )


def _steps_an_epoch(run: Run, lane: str) -> int:
    started = run.story.lanes_started.get(lane)
    return started.steps_an_epoch if started else 1


def _epoch_means(curve: Curve, after: int, last: int) -> tuple[float | None, float | None]:
    """Mean accuracy and cross-entropy of the steps after `after` up to `last`; None where there is no number."""
    places = [i for i, step in enumerate(curve.step) if after < step <= last]
    losses = [loss for i in places if (loss := curve.cross_entropy[i]) is not None]
    accuracy = statistics.fmean(curve.accuracy[i] for i in places) if places else None
    return accuracy, statistics.fmean(losses) if losses else None


def _wide_kernels(run: Run) -> Explanation | None:
    """Of a network whose kernels are larger than their input, as the coursework's was handed in."""
    for network in run.spec.networks:
        rows = layers.costs(layers.read(network.layers))
        wide = [row for row in rows if row.layer.kind == layers.CONV and row.layer.kernel > row.given[0]]
        if not wide:
            continue
        first, work, padding = wide[0], layers.multiply_adds(wide), sum(row.on_padding for row in wide)
        filters, kernel, side = first.layer.filters, first.layer.kernel, first.given[0]
        contrast = f", not for {kernel:,} filters of {filters} × {filters}" if filters < kernel else ""
        which = "this layer" if len(wide) == 1 else f"the {len(wide)} layers of this kind"
        have, take = ("has", "takes") if len(wide) == 1 else ("have", "take")
        sentences = [
            f"`Conv2D({filters}, {kernel})` asks for {filters:,} filters of {kernel} × {kernel}{contrast}: the number "
            "of filters comes first.",
            f"{network.title}: {which} {have} {layers.parameters(wide):,} parameters and {take} {many(work)} "
            f"multiply-adds an image, of which {percent(padding / work)} meet nothing but the zeros around it, because "
            f"a filter of {kernel} × {kernel} reaches beyond {side} × {side}.",
        ]
        if all(map(layers.is_one_product, wide)):
            sentences.append(
                "A kernel larger than its input joins every place with every place, as a dense layer whose weights "
                "repeat, so the lab computes it as one matrix product and leaves the padding out."
            )
        sentences += _against_as_meant(run, network)
        return Explanation(f"What Conv2D({filters}, {kernel}) asks for", " ".join(sentences))
    return None


def _against_as_meant(run: Run, network: catalog.Network) -> list[str]:
    """The same network with the two numbers of its convolutions the other way round, where it is in the run too."""
    turned = layers.write(
        [
            each._replace(filters=each.kernel, kernel=each.filters) if each.kind == layers.CONV else each
            for each in layers.read(network.layers)
        ]
    )
    other = next((each for each in run.spec.networks if each.layers == turned), None)
    results = run.story.by_lane(NetworkResult)
    if other is None or not {network.name, other.name} <= set(results):
        return []
    given, meant = results[network.name], results[other.name]
    return [
        f"{network.title}: {percent(given.test_accuracy)} after {short_duration(given.train_seconds)} of training; "
        f"{other.title}, with {meant.parameters:,} parameters: {percent(meant.test_accuracy)} after "
        f"{short_duration(meant.train_seconds)}."
    ]


def _dropout(run: Run) -> Explanation | None:
    rates = {network.name: _dropout_rates(network) for network in run.spec.networks}
    dropping = [network for network in run.spec.networks if rates[network.name]]
    if not dropping:
        return None
    named = join([f"{each.title} {join([short_percent(rate) for rate in rates[each.name]])}" for each in dropping])
    sentences = [
        f"Dropout sets a share of the values to zero at every training step ({named}), so that no unit can rely on "
        "another one; when the network is asked, it is off.",
        "Training accuracy is measured with it on, so validation can lie above training.",
    ]
    gaps = {each.name: gap for each in run.spec.networks if (gap := _gap(run, each.name))}
    told = [f"{each.title} {gaps[each.name]}" for each in dropping if each.name in gaps]
    others = [
        f"{each.title} {gaps[each.name]}" for each in run.spec.networks if each.name in gaps and not rates[each.name]
    ]
    if told:
        sentences.append(f"Training and validation at the end, with dropout: {join(told)}.")
    if told and others:
        sentences.append(f"Without: {join(others)}.")
    return Explanation("Why dropout", " ".join(sentences))


def _dropout_rates(network: catalog.Network) -> list[float]:
    return [each.rate for each in layers.read(network.layers) if each.kind == layers.DROPOUT]


def _gap(run: Run, lane: str) -> str:
    """ "99.1% and 98.7%": training and validation at the end; "" where one is missing"""
    end = ending(run, lane)
    if end.training_accuracy is None or end.validation_accuracy is None:
        return ""
    return f"{percent(end.training_accuracy)} and {percent(end.validation_accuracy)}"


@dataclass(frozen=True)
class Overfitting:
    """The validation loss of a network that has risen since its lowest, while the training loss fell on."""

    lane: str
    title: str
    best_epoch: int  # of the lowest validation loss
    epochs: int  # evaluated
    lowest_loss: float  # nats
    lowest_training_loss: float  # nats, of the same epoch
    end: Ending
    most_accurate_epoch: int  # by validation
    lost: float  # 0..1, validation accuracy at the end below that epoch's


def overfitting(run: Run) -> list[Overfitting]:
    """The networks whose curves show it, the largest rise first."""
    found = []
    for lane, title in run.titles.items():
        validation, training = run.story.curves.get((lane, "validation")), run.story.curves.get((lane, "training"))
        if not validation or not training:
            continue
        losses = [math.inf if loss is None else loss for loss in validation.cross_entropy]
        end = ending(run, lane)
        lowest = min(range(len(losses)), key=losses.__getitem__)
        step = validation.step[lowest]
        _, then = _epoch_means(training, step - _steps_an_epoch(run, lane), step)
        if end.validation_loss is None or end.training_loss is None or then is None:
            continue
        if end.validation_loss > LOSS_RISE * losses[lowest] and end.training_loss < then:
            best = max(range(len(losses)), key=validation.accuracy.__getitem__)
            found.append(
                Overfitting(
                    lane=lane,
                    title=title,
                    best_epoch=lowest + 1,
                    epochs=len(losses),
                    lowest_loss=losses[lowest],
                    lowest_training_loss=then,
                    end=end,
                    most_accurate_epoch=best + 1,
                    lost=validation.accuracy[best] - validation.accuracy[-1],
                )
            )
    return sorted(found, key=lambda each: each.lowest_loss / (each.end.validation_loss or 1))


def _overfitting(run: Run) -> Explanation | None:
    named = run.titles
    evaluated = [lane for lane in run.lanes if run.story.curves.get((lane, "validation"), Curve()).step]
    found, sentences = overfitting(run), []
    if found:
        sentences += _seen_in(found[0])
    elif evaluated:
        gaps = [f"{named[lane]} {gap}" for lane in evaluated if (gap := _gap(run, lane))]
        sentences.append(
            "None in these curves yet: no validation loss has risen clearly since its lowest while the training loss "
            "fell on."
        )
        if gaps:
            sentences.append(f"Training and validation at the end: {join(gaps)}.")
        sentences.append("More epochs, or a network without dropout and moved images, would show it.")
    if len(found) > 1:
        sentences.append(f"The same shows in {join([each.title for each in found[1:]])}.")
    # Without a validation split there is the test alone, which comes once.
    results = run.story.by_lane(NetworkResult)
    held_none = [lane for lane in run.lanes if lane not in evaluated and lane in results]
    for lane in held_none[:1]:
        training = ending(run, lane).training_accuracy
        if training is not None:
            sentences.append(
                f"{named[lane]} holds no images out, so that its curve cannot show it: {percent(training)} right in "
                f"its last epoch of training, {percent(results[lane].test_accuracy)} in the test."
            )
    return Explanation("What overfitting looks like", " ".join(sentences)) if sentences else None


def _seen_in(worst: Overfitting) -> list[str]:
    end = worst.end
    held_out = f"{percent(end.validation_accuracy or 0)} of those held out"
    if worst.lost > 0:
        held_out += f", {points(worst.lost)} less than after epoch {worst.most_accurate_epoch}"
    return [
        f"{worst.title} goes on getting better at what it has seen and worse at what it has not: since epoch "
        f"{worst.best_epoch} of {worst.epochs} its training loss fell from {worst.lowest_training_loss:.3f} to "
        f"{end.training_loss:.3f}, and its validation loss rose from {worst.lowest_loss:.3f} to "
        f"{end.validation_loss:.3f}.",
        f"It ends with {percent(end.training_accuracy or 0)} of the training images right and {held_out}.",
    ]


def _training_aids(run: Run) -> list[Explanation]:
    """One sentence on each of the means that some network is trained with."""
    sentences = [
        sentence
        for about in (_batchnorm, _one_cycle, _moved_pictures, _label_smoothing)
        if (sentence := about(run)) is not None
    ]
    if not sentences:
        return []
    return [Explanation("What helps a network learn", "\n".join(f"- {sentence}" for sentence in sentences))]


def _users(run: Run, uses: Callable[[catalog.Network], bool]) -> list[catalog.Network]:
    """The networks that use it, those with a result first, the best of them at the head."""
    results = run.story.by_lane(NetworkResult)
    used = [network for network in run.spec.networks if uses(network)]
    return sorted(used, key=lambda each: -results[each.name].test_accuracy if each.name in results else 0.0)


def _batchnorm(run: Run) -> str | None:
    used = _users(run, lambda each: any(layer.kind == layers.BATCHNORM for layer in layers.read(each.layers)))
    if not used:
        return None
    network = used[0]
    rows = layers.costs(layers.read(network.layers))
    spent = sum(row.parameters for row in rows if row.layer.kind == layers.BATCHNORM)
    validation = run.story.curves.get((network.name, "validation"), Curve())
    after = f"; after one epoch {percent(validation.accuracy[0])} are right in validation" if validation.step else ""
    return (
        f"**Batch normalisation** brings every channel to mean 0 and variance 1 within a batch, so that a rate of "
        f"{network.learning_rate:g} does no harm: {network.title} spends {spent:,} of its "
        f"{layers.parameters(rows):,} parameters on it{after}."
    )


def _one_cycle(run: Run) -> str | None:
    used = _users(run, lambda each: each.schedule == catalog.ONE_CYCLE)
    if not used:
        return None
    network = used[0]
    sentence = (
        f"**One learning-rate cycle** climbs to {network.learning_rate:g} and then falls to nearly 0, so that the last "
        "steps are small ones"
    )
    validation = run.story.curves.get((network.name, "validation"), Curve())
    if len(validation.step) > 1:
        half = (len(validation.step) - 1) // 2
        sentence += (
            f": {network.title} had {percent(validation.accuracy[half])} of the validation images right after epoch "
            f"{half + 1} and {percent(validation.accuracy[-1])} after epoch {len(validation.step)}"
        )
    return sentence + "."


def _moved_pictures(run: Run) -> str | None:
    used = _users(run, lambda each: each.augmentation)
    if not used:
        return None
    network = used[0]
    sentence = (
        "**Moved images** are turned, shifted and stretched a little, differently each time, so that none is seen twice"
    )
    started, result = run.story.lanes_started.get(network.name), run.story.by_lane(NetworkResult).get(network.name)
    if started and result:
        sentence += (
            f": {network.title} learned from {round(result.epochs * started.training):,} different ones made from "
            f"{started.training:,}"
        )
    end = ending(run, network.name)
    if end.training_accuracy is not None and end.validation_accuracy is not None:
        sentence += (
            f"; they are the harder ones, {percent(end.training_accuracy)} right at the end against "
            f"{percent(end.validation_accuracy)} in validation"
            if end.training_accuracy < end.validation_accuracy
            else f"; at the end {percent(end.training_accuracy)} of them are right"
        )
    return sentence + "."


def _label_smoothing(run: Run) -> str | None:
    used = _users(run, lambda each: each.label_smoothing > 0)
    if not used:
        return None
    network, answers = used[0], answers_of(run)
    sentence = (
        f"**Label smoothing** shares {short_percent(network.label_smoothing)} of the target among all classes, so that "
        "a network is not rewarded for certainty"
    )
    if answers and network.name in answers.score:
        right = float((answers.predicted[network.name] == answers.truth).mean())
        sentence += (
            f": {network.title} gives its answers to the test {pictures(run)} a probability of "
            f"{percent(float(answers.score[network.name].mean()))} on average, and {percent(right)} are right"
        )
    return sentence + "."


def _next_tenth(run: Run) -> Explanation | None:
    """What accuracy costs between neighbours on the frontier of training time."""
    rows, answers = network_rows(run), answers_of(run)
    if len(rows) < 2:
        return None
    on_it = [rows[i] for i in frontier([(row.train_seconds, row.test_accuracy) for row in rows])]
    steps = [(a, b) for a, b in itertools.pairwise(on_it) if b.wrong < a.wrong]
    title = "What one more tenth of a percent costs"
    if not steps:
        best = on_it[-1]
        return Explanation(
            title,
            f"Nothing here: {best.title} is the most accurate, and no other network took less time to train. "
            "A network that learns for longer would have to beat it.",
        )
    sentences = []
    for cheap, dear in steps[-3:]:  # the dearest ones say it best
        gained = dear.test_accuracy - cheap.test_accuracy
        chance = ", a lead that is no more than chance" if is_level(answers, cheap.lane, dear.lane) else ""
        tenths, more = gained / 0.001, dear.parameters - cheap.parameters
        longer = dear.train_seconds - cheap.train_seconds
        sentences.append(
            f"From {cheap.title} to {dear.title} accuracy gains {points(gained)} for "
            f"{short_duration(longer)} more of training and {abs(more):,} parameters "
            f"{'more' if more >= 0 else 'fewer'}: {short_duration(longer / tenths)} "
            f"for each tenth{chance}."
        )
    return Explanation(title, " ".join(sentences))
