"""What a comparison means, read from run folders made by hand: every figure can be checked on paper."""

import itertools
import os
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as some
from scipy.stats import binomtest
from sklearn.metrics import accuracy_score

from engine.contract import catalog, events, layers, specs
from engine.contract.kinds.mnist import MnistSpec, NetworkExported, NetworkResult
from engine.contract.run_folder import LabHome, RunFolder, write_json
from engine.kinds.mnist import comparison, explanations
from engine.runs import Run, open_run
from engine.stats import frontier, wilson

TESTED = 1000  # pictures
NAMES = ("beginner", "coursework_as_handed_in", "coursework_as_meant", "strong")
WRONG = {"beginner": range(30), "coursework_as_handed_in": range(20), "coursework_as_meant": range(10, 22),
         "strong": range(18, 24)}  # places that each gets wrong: 30, 20, 12 and 6 of 1,000  # fmt: skip
SECONDS = {"beginner": 5.0, "coursework_as_handed_in": 60.0, "coursework_as_meant": 90.0, "strong": 150.0}


@pytest.fixture
def home(tmp_path: Path) -> LabHome:
    return LabHome(str(tmp_path / "home"))


def network(row: str, **changes: object) -> catalog.Network:
    return catalog.network(row)._replace(**changes)


def queued(home: LabHome, run_id: str, networks: list[catalog.Network], **changes: object) -> RunFolder:
    folder = home.run(run_id)
    os.makedirs(folder.artifacts)
    specs.write(folder.spec, MnistSpec(networks=tuple(networks), **changes))
    events.append(folder.events, events.State(1000.0, events.QUEUED, 1))
    return folder


def result(row: catalog.Network, wrong: int, **changes: object) -> NetworkResult:
    costs = layers.costs(layers.read(row.layers))
    return NetworkResult(
        t=2000.0, lane=row.name, parameters=layers.parameters(costs), multiply_adds=layers.multiply_adds(costs),
        epochs=5.0, train_seconds=SECONDS.get(row.name, 10.0), images_per_second=5500.0,
        test_accuracy=1 - wrong / TESTED, test_n=TESTED, validation_accuracy=0.99, best_epoch=4, stopped=False,
    )._replace(**changes)  # fmt: skip


def answers(wrong: dict[str, range], score: float = 0.5) -> dict:
    """Every picture is a 0; who is wrong says 1, the surer the higher the place."""
    said = {
        lane: {
            "predicted": [int(place in places) for place in range(TESTED)],
            "score": [round(score + place / 10_000, 4) for place in range(TESTED)],
        }
        for lane, places in wrong.items()
    }
    return {"files": [], "truth": [0] * TESTED, "lanes": said}


def finished(home: LabHome, names: tuple[str, ...] = NAMES, run_id: str = "a", **changes: object) -> RunFolder:
    """A run whose networks have been tested and answered."""
    folder = queued(home, run_id, [network(name) for name in names], **changes)
    events.append(folder.events, *[result(network(name), len(WRONG[name])) for name in names])
    write_json(folder.predictions, answers({name: WRONG[name] for name in names}))
    return folder


def opened(folder: RunFolder) -> Run:
    return open_run(folder.home, folder.id)


# --- rows ------------------------------------------------------------------------------------------------------------


def test_rows_are_the_tested_networks_the_best_first_and_keep_the_colour_of_their_creation(home: LabHome) -> None:
    folder = finished(home)
    events.append(folder.events, NetworkExported(2001.0, "strong", 2e-7, 64, 0.0004))
    rows = comparison.network_rows(opened(folder))
    assert [(row.lane, row.number, row.wrong) for row in rows] == [
        ("strong", 3, 6),
        ("coursework_as_meant", 2, 12),
        ("coursework_as_handed_in", 1, 20),
        ("beginner", 0, 30),
    ]
    assert [row.parameters for row in rows[1:]] == [370_454, 92_619, 101_770]
    interval = binomtest(994, 1000).proportion_ci(0.95, method="wilson")
    assert (rows[0].test_low, rows[0].test_high) == pytest.approx((interval.low, interval.high))
    assert (rows[0].image_seconds, rows[0].difference) == (0.0004, 2e-7)
    assert (rows[1].image_seconds, rows[1].difference) == (None, None)


def test_a_network_that_is_not_tested_yet_has_no_row(home: LabHome) -> None:
    folder = queued(home, "a", [network("beginner"), network("strong")])
    assert comparison.network_rows(opened(folder)) == []
    events.append(folder.events, result(network("strong"), 6))
    assert [(row.lane, row.number) for row in comparison.network_rows(opened(folder))] == [("strong", 1)]


def test_of_equally_good_networks_the_smaller_one_comes_first(home: LabHome) -> None:
    folder = queued(home, "a", [network("coursework_as_meant"), network("beginner")])
    events.append(folder.events, *[result(row, 20) for row in opened(folder).spec.networks])
    assert [row.lane for row in comparison.network_rows(opened(folder))] == ["beginner", "coursework_as_meant"]


@given(some.lists(some.tuples(some.integers(1, 6), some.integers(1, 6)), max_size=12))
def test_the_frontier_is_what_no_other_point_beats(points: list[tuple[int, int]]) -> None:
    def beats(a: tuple[int, int], b: tuple[int, int]) -> bool:
        return a != b and a[0] <= b[0] and a[1] >= b[1]

    found = frontier(points)
    assert set(found) == {i for i, b in enumerate(points) if not any(beats(a, b) for a in points)}
    assert [points[i][0] for i in found] == sorted(points[i][0] for i in found)


# --- verdict ---------------------------------------------------------------------------------------------------------


def test_the_verdict_names_the_best_the_chance_the_price_and_the_cheapest_that_is_level(home: LabHome) -> None:
    found = comparison.verdict(opened(finished(home)))
    assert found.conclusion == "Strong is best: 99.4% of the 1,000 test digits right."
    # wrong at 18..23 against 10..21: only Strong is right at 10..17, only the other at 22 and 23
    p = binomtest(8, 10).pvalue
    assert "Next comes Coursework, as meant with 98.8%." in found.reasons
    assert f"only one of them is right (8 to 2), no more than chance (McNemar p = {p:.2f})." in found.reasons
    assert "It took 2m 30s of training against 1m 30s, and has " in found.reasons
    assert "370,454" in found.reasons
    # as handed in: 0..17 against 22 and 23 alone, p < 0.001; Beginner: 0..17 and 24..29 against none
    strong, meant = (layers.multiply_adds(layers.costs(layers.read(network(name).layers))) for name in
                     ("strong", "coursework_as_meant"))  # fmt: skip
    assert strong < meant
    assert "No network that takes fewer multiply-adds comes within chance of it." in found.reasons


def test_a_cheaper_network_within_chance_is_named(home: LabHome) -> None:
    folder = finished(home, ("beginner", "strong"))
    write_json(folder.predictions, answers({"beginner": range(17, 24), "strong": range(18, 24)}))
    reasons = comparison.verdict(opened(folder)).reasons
    assert "The cheapest within chance of it is Beginner: 97.0% with 101,632 multiply-adds an image" in reasons
    assert "comes within chance" not in reasons


def test_a_lead_beyond_chance_is_said_to_be_one(home: LabHome) -> None:
    reasons = comparison.verdict(opened(finished(home, ("beginner", "strong")))).reasons
    assert "(24 to 0), more than chance (McNemar p < 0.001)." in reasons


def test_two_networks_with_as_many_wrong_are_level(home: LabHome) -> None:
    folder = queued(home, "a", [network("beginner"), network("strong")])
    events.append(folder.events, *[result(row, 20) for row in opened(folder).spec.networks])
    write_json(folder.predictions, answers({"beginner": range(20), "strong": range(20)}))
    found = comparison.verdict(opened(folder))
    assert " are level: 98.0% of the 1,000 test digits right." in found.conclusion
    assert "Of the 1,000 test digits both get the same ones right." in found.reasons


def test_one_network_alone_has_a_sentence_about_itself(home: LabHome) -> None:
    found = comparison.verdict(opened(finished(home, ("beginner",))))
    low, high = wilson(970, 1000)
    assert found.conclusion == "Beginner gets 97.0% of the 1,000 test digits right."
    assert f"wrong on 30; a test of another 1,000 would likely find between {low:.1%} and {high:.1%}" in found.reasons
    assert "learned for 5.0 s and has 101,770 parameters; an image takes it 101,632 multiply-adds." in found.reasons


def test_before_the_test_and_before_the_answers_the_verdict_says_what_is_known(home: LabHome) -> None:
    folder = queued(home, "a", [network("beginner"), network("strong")])
    assert comparison.verdict(opened(folder)).conclusion == "No network has been tested yet."
    events.append(folder.events, *[result(network(name), len(WRONG[name])) for name in ("beginner", "strong")])
    found = comparison.verdict(opened(folder))
    assert found.conclusion.startswith("Strong is best")
    assert "chance" not in found.reasons


def test_a_network_that_was_stopped_is_named(home: LabHome) -> None:
    folder = queued(home, "a", [network("beginner")])
    events.append(folder.events, result(network("beginner"), 30, epochs=2.4, stopped=True))
    assert comparison.verdict(opened(folder)).reasons.endswith("Beginner was stopped after 2.4 epochs.")


def test_pictures_of_clothes_are_images(home: LabHome) -> None:
    found = comparison.verdict(opened(finished(home, data="fashion_mnist")))
    assert found.conclusion.endswith("of the 1,000 test images right.")


# --- single pictures -------------------------------------------------------------------------------------------------


def with_pictures(folder: RunFolder, places: list[int]) -> None:
    pixels = np.zeros((len(places), 28, 28), np.uint8)
    pixels[:, 0, 0] = places
    nothing = np.zeros((28, 28), np.uint8)
    index = np.array(places, np.int32)
    np.savez(folder.digits, index=index, pixels=pixels, mean=nothing, class_means=np.zeros((10, 28, 28), np.uint8))


def test_the_hardest_are_those_that_most_networks_get_wrong_the_surest_errors_first(home: LabHome) -> None:
    folder = finished(home)
    with_pictures(folder, list(range(30)))
    found = comparison.hardest(opened(folder), limit=5)
    # all four are wrong at 18 and 19, three at 10..17 (not Strong) and at 20 and 21 (not as handed in)
    assert [each.index for each in found] == [19, 18, 21, 20, 17]
    assert found[0].guesses == {name: (1, pytest.approx(0.5019)) for name in NAMES}
    assert found[2].guesses["coursework_as_handed_in"][0] == 0
    assert found[0].truth == 0
    assert found[0].pixels is not None
    assert found[0].pixels[0, 0] == 19


def test_no_picture_is_hardest_that_every_network_gets_right(home: LabHome) -> None:
    found = comparison.hardest(opened(finished(home)), limit=TESTED)
    assert sorted(each.index for each in found) == list(range(30))


def test_a_networks_mistakes_come_surest_first(home: LabHome) -> None:
    folder = finished(home)
    truth, said = np.zeros(TESTED, int), np.isin(np.arange(TESTED), list(WRONG["strong"])).astype(int)
    found = comparison.mistakes(opened(folder), "strong", limit=100)
    assert len(found) == TESTED - accuracy_score(truth, said, normalize=False)
    assert [each.index for each in found] == [23, 22, 21, 20, 19, 18]
    assert comparison.mistakes(opened(folder), "no such lane", 5) == []


def test_a_run_without_pictures_still_has_its_mistakes(home: LabHome) -> None:
    folder = finished(home)
    assert comparison.mistakes(opened(folder), "strong", 1)[0].pixels is None
    with_pictures(folder, [1, 2])  # not those that are asked for
    assert comparison.mistakes(opened(folder), "strong", 1)[0].pixels is None
    Path(folder.digits).write_bytes(b"PK\x03\x04 cut short")
    assert comparison.mistakes(opened(folder), "strong", 1)[0].pixels is None


def test_where_two_networks_differ_is_counted_and_shown(home: LabHome) -> None:
    found = comparison.disagreement(opened(finished(home)), "coursework_as_meant", "strong")
    # wrong at 10..21 and at 18..23: both at 18..21
    p = binomtest(2, 10).pvalue
    assert found.sentence == (
        "Coursework, as meant against Strong: both are right on 986 test digits and both wrong on 4. On 10 of the "
        f"1,000 test digits only one of them is right (2 to 8), no more than chance (McNemar p = {p:.2f})."
    )
    assert [each.index for each in found.only_first] == [23, 22]
    assert [each.index for each in found.only_second] == list(range(17, 9, -1))


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("[]", id="a list"),
        pytest.param(
            '{"truth": [0, 1], "lanes": {"strong": {"predicted": [0], "score": [0.5]}}}', id="too few answers"
        ),
        pytest.param('{"truth": [0', id="torn"),
    ],
)
def test_answers_of_another_shape_are_none(home: LabHome, text: str) -> None:
    folder = finished(home)
    Path(folder.predictions).write_text(text)
    run = opened(folder)
    assert comparison.hardest(run) == []
    assert comparison.disagreement(run, "beginner", "strong").only_first == []
    assert comparison.verdict(run).conclusion.startswith("Strong is best")


# --- explanations ----------------------------------------------------------------------------------------------------


def learned(
    folder: RunFolder, lane: str, training: list[float], validation: list[float], losses: list[tuple[float, float]]
) -> None:
    """Two batches an epoch; `losses`: (training, validation) of each."""
    epochs = range(1, len(training) + 1)
    started = events.LaneStarted(1500.0, lane, 55_000, 5_000 if validation else 0, 128, 2, 2 * len(training))
    steps = [step for epoch in epochs for step in (2 * epoch - 1, 2 * epoch)]
    twice = [value for value in training for _ in range(2)]
    entropy = [loss for loss, _ in losses for _ in range(2)]
    told = [started, events.Metric(1501.0, lane, "training", steps, [0.1 * s for s in steps], twice, entropy)]
    if validation:
        after = [2 * epoch for epoch in epochs]
        told.append(
            events.Metric(
                1502.0, lane, "validation", after, [0.1 * s for s in after], validation, [loss for _, loss in losses]
            )
        )
    events.append(folder.events, *told)


def explained(folder: RunFolder) -> dict[str, str]:
    return {each.title: each.text for each in explanations.explanations(opened(folder))}


def test_the_coursework_as_handed_in_is_explained_with_its_own_costs(home: LabHome) -> None:
    text = explained(finished(home))["What Conv2D(3, 32) asks for"]
    assert "asks for 3 filters of 32 × 32, not for 32 filters of 3 × 3" in text
    # parameters: 32·32·1·3 + 3, and twice 64·64·3·3 + 3
    assert f"Coursework, as handed in: the 3 layers of this kind have {3075 + 2 * 36_867:,} parameters" in text
    # multiply-adds: 28·28·3072 and twice 14·14·36,864; useful are pairs of places closer than the kernel reaches
    work = 784 * 3072 + 2 * 196 * 36_864
    assert f"take {work / 1e6:.1f} million multiply-adds an image" in text
    useful = 3 * pairs(28, 32) ** 2 + 2 * 9 * pairs(14, 64) ** 2
    assert f"of which {(work - useful) / work:.1%} meet nothing but the zeros" in text
    assert "one matrix product" in text
    assert "Coursework, as handed in: 98.0% after 1m 00s of training; Coursework, as meant, with 370,454" in text


def pairs(side: int, kernel: int) -> int:
    """Of an output and an input place that a kernel joins, along one axis, as Keras pads for "same"."""
    before = (kernel - 1) // 2
    return sum(0 <= column - place + before < kernel for place in range(side) for column in range(side))


def test_a_matrix_that_is_too_large_is_not_said_to_be_used(home: LabHome) -> None:
    wide = network("beginner", name="own", title="Own", layers="conv 64 29, flatten, dense 10")
    text = explained(queued(home, "a", [wide]))["What Conv2D(64, 29) asks for"]
    assert "Own: this layer has" in text
    assert "not for" not in text  # 64 filters of 29 × 29 may well be meant
    assert "matrix" not in text


def test_networks_without_wide_kernels_dropout_or_curves_are_not_explained_by_them(home: LabHome) -> None:
    plain = network("beginner", layers="flatten, dense 128, relu, dense 10")
    assert explained(queued(home, "a", [plain])) == {}


def test_dropout_is_explained_by_the_gap_with_and_without_it(home: LabHome) -> None:
    plain = network("coursework_as_meant", name="plain", title="Plain", layers="flatten, dense 128, relu, dense 10")
    folder = queued(home, "a", [network("coursework_as_meant"), plain])
    learned(folder, "coursework_as_meant", [0.9, 0.985], [0.95, 0.988], [(0.3, 0.2), (0.05, 0.04)])
    learned(folder, "plain", [0.9, 0.999], [0.95, 0.975], [(0.3, 0.2), (0.01, 0.1)])
    text = explained(folder)["Why dropout"]
    assert "(Coursework, as meant 20%)" in text
    assert "with dropout: Coursework, as meant 98.5% and 98.8%. Without: Plain 99.9% and 97.5%." in text


def test_overfitting_is_found_where_one_loss_rises_and_the_other_falls(home: LabHome) -> None:
    folder = queued(home, "a", [network("coursework_as_meant"), network("strong")])
    overfits = [(0.3, 0.2), (0.1, 0.05), (0.02, 0.04), (0.01, 0.06)]
    learned(folder, "coursework_as_meant", [0.9, 0.97, 0.99, 0.999], [0.95, 0.985, 0.991, 0.989], overfits)
    learned(folder, "strong", [0.9, 0.97, 0.98, 0.985], [0.95, 0.985, 0.99, 0.995], [(0.3, 0.2)] * 3 + [(0.2, 0.1)])
    assert [each.lane for each in explanations.overfitting(opened(folder))] == ["coursework_as_meant"]
    text = explained(folder)["What overfitting looks like"]
    assert "since epoch 3 of 4 its training loss fell from 0.020 to 0.010" in text
    assert "its validation loss rose from 0.040 to 0.060" in text
    assert "99.9% of the training images right and 98.9% of those held out, 0.20 pt less than after epoch 3." in text


@pytest.mark.parametrize(
    "losses",
    [
        pytest.param([(0.3, 0.2), (0.1, 0.05), (0.05, 0.04)], id="both fall"),
        pytest.param([(0.3, 0.2), (0.1, 0.05), (0.05, 0.054)], id="it rose by less than a tenth"),
        pytest.param([(0.3, 0.2), (0.1, 0.05), (0.2, 0.3)], id="both rise"),
        pytest.param([(0.3, 0.2)], id="one epoch"),
    ],
)
def test_where_there_is_no_overfitting_yet_it_says_so(home: LabHome, losses: list[tuple[float, float]]) -> None:
    folder = queued(home, "a", [network("strong")])
    learned(folder, "strong", [0.98] * len(losses), [0.99] * len(losses), losses)
    text = explained(folder)["What overfitting looks like"]
    assert text.startswith("None in these curves yet")
    assert "Strong 98.0% and 99.0%" in text


def test_a_network_that_holds_nothing_out_is_judged_by_its_test(home: LabHome) -> None:
    folder = queued(home, "a", [network("beginner")])
    learned(folder, "beginner", [0.9, 0.989], [], [(0.3, 0.0), (0.1, 0.0)])
    assert "What overfitting looks like" not in explained(folder)  # nothing to compare with before the test
    events.append(folder.events, result(network("beginner"), 22, validation_accuracy=None, best_epoch=0))
    text = explained(folder)["What overfitting looks like"]
    assert "98.9% right in its last epoch of training, 97.8% in the test." in text


def test_what_helps_is_explained_where_it_is_used_and_with_this_runs_numbers(home: LabHome) -> None:
    row = network(
        "beginner", name="own", title="Own", layers="conv 4 3, batchnorm, relu, flatten, dense 10", learning_rate=0.01,
        schedule=catalog.ONE_CYCLE, label_smoothing=0.05, augmentation=True, validation_images=5000,
    )  # fmt: skip
    folder = queued(home, "a", [row])
    learned(folder, "own", [0.9, 0.95, 0.96], [0.97, 0.98, 0.99], [(0.3, 0.2), (0.2, 0.1), (0.1, 0.05)])
    events.append(folder.events, result(row, 10, epochs=3.0))
    write_json(folder.predictions, answers({"own": range(10)}, score=0.85))
    text = explained(folder)["What helps a network learn"]
    assert len(text.splitlines()) == 4
    assert (
        "a rate of 0.01 does no harm: Own spends 16 of its 31,426 parameters on it" in text
    )  # 4·4 of 40 + 16 + 31,370
    assert "after one epoch 97.0% are right in validation" in text
    assert "Own had 98.0% of the validation images right after epoch 2 and 99.0% after epoch 3" in text
    assert "Own learned from 165,000 different ones made from 55,000" in text
    assert "96.0% right at the end against 99.0% in validation" in text
    assert "shares 5% of the target among all classes" in text
    assert "a probability of 90.0% on average, and 99.0% are right" in text  # 0.85 + the mean of 0..0.0999
    assert "What helps a network learn" not in explained(finished(home, ("beginner",), run_id="b"))


def test_what_a_tenth_of_a_percent_costs_is_read_between_neighbours_on_the_frontier(home: LabHome) -> None:
    text = explained(finished(home))["What one more tenth of a percent costs"]
    # 98.8 -> 99.4 %: six tenths for 60 s
    assert "From Coursework, as meant to Strong accuracy gains 0.60 pt for 1m 00s more of training" in text
    assert "parameters fewer: 10 s for each tenth, a lead that is no more than chance." in text
    # 97.0 -> 98.0 %: ten tenths for 55 s and 92,619 - 101,770 parameters
    assert (
        "From Beginner to Coursework, as handed in accuracy gains 1.00 pt for 55 s more of training and 9,151" in text
    )
    assert "5.5 s for each tenth." in text


def test_where_the_quickest_is_the_best_more_accuracy_costs_nothing(home: LabHome) -> None:
    folder = queued(home, "a", [network("beginner"), network("strong")])
    told = [result(network("beginner"), 6), result(network("strong"), 30)]
    events.append(folder.events, *told)
    text = explained(folder)["What one more tenth of a percent costs"]
    assert text.startswith("Nothing here: Beginner is the most accurate, and no other network took less time to train.")


def test_explanations_are_short(home: LabHome) -> None:
    folder = finished(home)
    for lane in NAMES:
        learned(folder, lane, [0.9, 0.99], [0.95, 0.98], [(0.3, 0.2), (0.05, 0.3)])
    found = explanations.explanations(opened(folder))
    assert len(found) == 5
    assert all(len(text.split()) < 130 for each in found for text in each.text.splitlines())


# --- leaderboard -----------------------------------------------------------------------------------------------------


def test_the_leaderboard_ranks_all_runs_and_gives_the_median_of_a_networks_seeds(home: LabHome) -> None:
    for seed, wrong in ((0, 10), (1, 30), (2, 20)):
        row = network("strong", title=f"Strong {seed}")  # a name of its own makes no other network
        folder = queued(home, f"seed-{seed}", [row], seed=seed)
        events.append(folder.events, result(row, wrong))
    other = queued(home, "other", [network("beginner")])
    events.append(other.events, result(network("beginner"), 25))
    queued(home, "not-tested", [network("strong")])
    runs = [open_run(home, name) for name in ("other", "seed-2", "seed-1", "seed-0", "not-tested")]
    rows = comparison.leaderboard(runs)
    assert [(row.title, row.seed, row.seeds, row.median) for row in rows] == [
        ("Strong 0", 0, 3, pytest.approx(0.98)),
        ("Strong 2", 2, 3, pytest.approx(0.98)),
        ("Beginner", 0, 1, None),
        ("Strong 1", 1, 3, pytest.approx(0.98)),
    ]
    assert (rows[0].data, rows[0].run_id, rows[0].when) == ("MNIST", "seed-0", 2000.0)
    assert (rows[0].test_low, rows[0].test_high) == pytest.approx(wilson(990, 1000))


@pytest.mark.parametrize(
    "changes",
    [
        pytest.param({"layers": "flatten, dense 10"}, id="layers"),
        pytest.param({"learning_rate": 0.002}, id="rate"),
        pytest.param({"validation_images": 100}, id="validation images"),
    ],
)
def test_another_recipe_is_another_network(home: LabHome, changes: dict) -> None:
    for seed, row in enumerate((network("beginner"), network("beginner", **changes))):
        events.append(queued(home, f"r{seed}", [row], seed=seed).events, result(row, 20))
    rows = comparison.leaderboard([open_run(home, "r0"), open_run(home, "r1")])
    assert [row.seeds for row in rows] == [1, 1]


def test_other_data_and_fewer_epochs_are_not_thrown_together_and_a_seed_counts_once(home: LabHome) -> None:
    row = network("beginner")
    told = {"a": ({"seed": 0}, {}), "again": ({"seed": 0}, {"t": 2001.0}), "stopped": ({"seed": 1}, {"epochs": 2.5}),
            "fewer": ({"seed": 1, "training_images": 5000}, {}), "clothes": ({"seed": 1, "data": "fashion_mnist"}, {}),
            "own": ({"seed": 1, "data": "my-set"}, {})}  # fmt: skip
    for run_id, (spec, figures) in told.items():
        events.append(queued(home, run_id, [row], **spec).events, result(row, 20, **figures))
    rows = comparison.leaderboard(open_run(home, run_id) for run_id in told)
    assert [row.seeds for row in rows] == [1] * 6
    assert [row.run_id for row in rows[-2:]] == ["clothes", "own"]
    assert [(a, b) for a, b in itertools.pairwise(rows[:4]) if a.test_accuracy < b.test_accuracy] == []
