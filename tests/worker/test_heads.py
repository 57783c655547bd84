"""The race: retrain.py's head, many at once."""

import numpy as np
import pytest

from engine.worker.learning import heads

CLASSES, WIDTH = 3, 20


def clusters(photos=90, scale=1.0, seed=0):
    random = np.random.RandomState(seed)
    labels = np.arange(photos) % CLASSES
    centres = np.random.RandomState(99).randn(CLASSES, WIDTH)
    features = (centres[labels] + 0.3 * random.randn(photos, WIDTH)) * scale
    return heads.Split(features.astype(np.float32), labels)


def settings(rates, steps=60, seed=0, train=10, validation=10, interval=10):
    return heads.Settings(tuple(rates), CLASSES, steps, train, validation, interval, seed)


def race(asked, training=None, **options):
    seen = []
    training = clusters() if training is None else training
    result = heads.race(heads.batches(training, asked), clusters(30, seed=1), asked, seen.extend, **options)
    return result, seen


def bottlenecks(photos, seed):
    """As wide and as large as real ones, with classes that overlap: rates above 0.1 never settle down on them."""
    random = np.random.RandomState(seed)
    labels = random.randint(0, 5, photos)
    centres = np.random.RandomState(99).randn(5, 1280) * 0.3
    return heads.Split(np.maximum(0, centres[labels] + random.randn(photos, 1280) * 0.5).astype(np.float32), labels)


@pytest.mark.parametrize("rates", [(0.005, 0.5, 1.0), (0.001, 0.01, 0.1, 0.2, 0.5, 1.0, 5.0, 10.0)], ids=len)
def test_a_lane_learns_what_it_learns_alone(rates):
    training, validation = bottlenecks(500, 0), bottlenecks(100, 1)
    asked = heads.Settings(rates, 5, 300, 100, 100, 10, 7)
    seen, alone_seen = [], []
    together = heads.race(heads.batches(training, asked), validation, asked, seen.extend)
    for lane, rate in enumerate(rates):
        del alone_seen[:]
        alone = heads.race(
            heads.batches(training, asked), validation, asked._replace(learning_rates=(rate,)), alone_seen.extend
        )
        assert np.abs(together.weights[lane] - alone.weights[0]).max() <= 1e-5
        assert np.abs(together.bias[lane] - alone.bias[0]).max() <= 1e-5
        for one, other in zip(seen, alone_seen):
            assert one.validation_accuracy[lane] == other.validation_accuracy[0]


def test_a_step_is_tensorflow_s_gradient_descent_on_the_mean_cross_entropy():
    import tensorflow as tf

    everything = settings([0.1], steps=5, train=-1)
    start, _ = race(settings([0.0], steps=1, train=-1))  # rate 0: the first weights
    data = clusters()
    weights, bias = tf.Variable(start.weights[0]), tf.Variable(np.zeros(CLASSES, np.float32))
    for _ in range(5):
        with tf.GradientTape() as tape:
            logits = tf.matmul(data.features, weights) + bias
            loss = tf.reduce_mean(tf.nn.sparse_softmax_cross_entropy_with_logits(labels=data.labels, logits=logits))
        for variable, gradient in zip([weights, bias], tape.gradient(loss, [weights, bias])):
            variable.assign_sub(0.1 * gradient)
    ours, _ = race(everything)
    assert np.abs(ours.weights[0] - weights.numpy()).max() <= 1e-6
    assert np.abs(ours.bias[0] - bias.numpy()).max() <= 1e-6


def test_a_step_is_gradient_descent_by_hand_too():
    """In float64, for two rates at once, weights and bias; TensorFlow's own, above, takes seconds to load."""
    data, classes = clusters(), np.eye(CLASSES)
    start, _ = race(settings([0.0], steps=1, train=-1))
    asked = settings([0.1, 0.5], steps=5, train=-1)
    ours, _ = race(asked)
    assert (ours.weights.dtype, ours.bias.dtype) == (np.float32, np.float32)
    for lane, rate in enumerate((0.1, 0.5)):
        weights, bias = start.weights[0].astype(np.float64), np.zeros(CLASSES)
        for _ in range(5):
            logits = data.features.dot(weights) + bias
            share = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
            error = (share - classes[data.labels]) / len(data.labels)
            weights -= rate * data.features.T.dot(error)
            bias -= rate * error.sum(axis=0)
        assert np.abs(ours.weights[lane] - weights).max() <= 1e-6
        assert np.abs(ours.bias[lane] - bias).max() <= 1e-6


def test_the_first_weights_are_truncated_normal_and_the_same_for_all_lanes():
    start, _ = race(settings([0.0001, 0.0002], steps=1, seed=5))
    other, _ = race(settings([0.0001], steps=1, seed=6))
    assert np.abs(start.weights).max() < 0.0021
    assert 0.0005 < start.weights.std() < 0.0012
    assert np.abs(start.weights[0] - start.weights[1]).max() < 1e-3
    assert np.abs(start.weights[0] - other.weights[0]).max() > 1e-4


def test_it_is_evaluated_every_interval_and_on_the_last_step():
    _, seen = race(settings([0.1], steps=25, interval=10))
    assert [e.step for e in seen] == [10, 20, 25]


def test_another_validation_batch_changes_nothing_that_is_learned():
    few, _ = race(settings([0.1], validation=5))
    all_of_them, _ = race(settings([0.1], validation=-1))
    assert (few.weights == all_of_them.weights).all()


def test_the_same_seed_gives_the_same_race_and_another_another():
    first, again, other = race(settings([0.1]))[0], race(settings([0.1]))[0], race(settings([0.1], seed=1))[0]
    assert (first.weights == again.weights).all()
    assert (first.weights != other.weights).any()


def test_a_batch_of_one_photo_teaches_too():
    result, seen = race(settings([0.1], steps=200, train=1, validation=1))
    assert np.isfinite(result.weights).all()
    assert heads.measure(clusters(30, seed=2), result.weights[0], result.bias[0])[0] == 1.0
    assert {float(e.training_accuracy[0]) for e in seen} <= {0.0, 1.0}


def test_a_class_is_drawn_as_often_however_few_photos_it_has():
    labels = np.array([0] * 196 + [1] * 2 + [2] * 2)
    split = heads.Split(np.arange(200), labels)
    chosen = heads.sample(split, 60, 0)
    drawn = [np.bincount(labels[heads.sample(split, 60, seed)], minlength=3) for seed in range(50)]
    assert len(chosen) == 60
    assert np.abs(np.mean(drawn, axis=0) - 20).max() < 3


@pytest.mark.parametrize("batch", [10, -1])
def test_a_batch_that_goes_through_memory_in_parts_teaches_what_the_whole_teaches(batch):
    asked = settings([0.05, 0.5], train=batch)
    whole, expected = race(asked)
    seen = []
    parts = heads.race(heads.batches(clusters(), asked, 4), clusters(30, seed=1), asked, seen.extend, at_once=4)
    assert np.abs(parts.weights - whole.weights).max() <= 1e-5
    assert np.abs(parts.bias - whole.bias).max() <= 1e-5
    for one, other in zip(seen, expected):
        assert np.abs(one.training_cross_entropy - other.training_cross_entropy).max() <= 1e-5
        assert np.abs(one.training_accuracy - other.training_accuracy).max() <= 1e-6
    drawn, _ = next(heads.batches(clusters(), asked._replace(train_batch_size=10), 4))
    assert drawn[0:4].shape == (4, WIDTH)


def test_a_lane_that_leaves_the_numbers_is_named_and_the_others_go_on():
    huge = clusters(scale=1e25)
    tiny_rate, high_rate = 1e-30, 10.0
    result, seen = race(settings([tiny_rate, high_rate]), training=huge)
    assert list(result.diverged) == [1]
    assert result.diverged[1] == 10
    assert np.isfinite(result.weights[0]).all()
    alone, _ = race(settings([tiny_rate]), training=huge)
    assert np.allclose(result.weights[0], alone.weights[0], atol=1e-5)
    assert np.isnan(seen[-1].training_cross_entropy[1])


def test_it_learns_what_can_be_learned():
    result, seen = race(settings([0.5], steps=200))
    assert seen[-1].training_accuracy[0] == 1.0
    accuracy, cross_entropy = heads.measure(clusters(30, seed=2), result.weights[0], result.bias[0])
    assert accuracy == 1.0
    assert cross_entropy < 0.2


def test_it_stops_when_asked_and_keeps_what_it_has_learned():
    ticks = iter(range(1000000))
    result, seen = race(settings([0.5], steps=1000), stop=lambda: True, clock=lambda: float(next(ticks)))
    assert result.steps == seen[-1].step == 10
    assert result.weights.any()


def test_probabilities_sum_to_one_however_large_the_logits():
    features = np.full((4, WIDTH), 1000.0, np.float32)
    weights = np.random.RandomState(0).randn(WIDTH, CLASSES).astype(np.float32)
    probabilities = heads.probabilities(features, weights, np.zeros(CLASSES, np.float32))
    assert probabilities.shape == (4, CLASSES)
    assert np.allclose(probabilities.sum(axis=1), 1)


@pytest.mark.parametrize("at_once", [0, 4])
def test_every_photo_of_a_class_is_drawn_and_each_as_often_as_the_others(at_once):
    labels = np.array([0] * 7 + [1] * 3 + [3] * 5)[np.random.RandomState(0).permutation(15)]  # class 2 has no photos
    numbered = heads.Split(np.arange(15, dtype=np.float32)[:, None], labels)
    drawn = np.zeros(15, int)
    batches = heads.batches(numbered, heads.Settings((0.1,), 4, 1, 30, 10, 10, 3), at_once)
    for _ in range(400):
        features, truth = next(batches)
        photos = features[0:30][:, 0].astype(int)
        assert (labels[photos] == truth).all()
        drawn += np.bincount(photos, minlength=15)
    assert drawn.sum() == 400 * 30
    for label in (0, 1, 3):
        share = drawn[labels == label] / float(drawn[labels == label].sum())
        assert share == pytest.approx(1.0 / len(share), rel=0.2)  # about 570 draws of each photo: six deviations


def test_a_sample_can_name_every_photo():
    split = heads.Split(np.arange(9), np.array([0, 1, 1, 0, 1, 1, 0, 1, 0]))
    assert set(heads.sample(split, 400, 0)) == set(range(9))


def test_accuracy_and_cross_entropy_are_those_of_the_definition_in_nats():
    features = np.array([[1, 0], [0, 1], [1, 1], [2, 0]], np.float32)
    weights = np.array([[1, 0, -1], [0, 1, 0.5]], np.float32)  # (width, classes)
    bias = np.array([0.25, 0, 0], np.float32)
    labels = np.array([0, 2, 1, 2])
    logits = np.array([[1.25, 0, -1], [0.25, 1, 0.5], [1.25, 1, -0.5], [2.25, 0, -2]])
    of_truth = [np.exp(row[label]) / np.exp(row).sum() for row, label in zip(logits, labels)]
    accuracy, cross_entropy = heads.measure(heads.Split(features, labels), weights, bias)
    assert accuracy == 0.25
    assert cross_entropy == pytest.approx(-np.mean(np.log(of_truth)), abs=1e-6)
    said = heads.probabilities(features, weights, bias)
    assert said == pytest.approx(np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True), abs=1e-6)


def test_before_anything_is_learned_the_cross_entropy_is_the_logarithm_of_the_number_of_classes():
    _, seen = race(settings([0.0, 0.0], steps=1, train=-1, validation=-1, interval=1))
    for figure in (seen[0].training_cross_entropy, seen[0].validation_cross_entropy):
        assert figure == pytest.approx([np.log(CLASSES)] * 2, abs=0.02)  # the first weights are nearly 0


def test_an_evaluation_is_of_the_whole_validation_split_and_of_the_batch_just_learned_from_after_the_update():
    asked = settings([0.05, 0.5], steps=20, train=-1, validation=-1)
    result, seen = race(asked)
    training, validation = clusters(), clusters(30, seed=1)
    for lane in range(2):
        learned = heads.measure(training, result.weights[lane], result.bias[lane])
        held_out = heads.measure(validation, result.weights[lane], result.bias[lane])
        last = seen[-1]
        assert last.training_accuracy[lane] == pytest.approx(learned[0], abs=1e-6)
        assert last.training_cross_entropy[lane] == pytest.approx(learned[1], abs=1e-5)
        assert last.validation_accuracy[lane] == pytest.approx(held_out[0], abs=1e-6)
        assert last.validation_cross_entropy[lane] == pytest.approx(held_out[1], abs=1e-5)


# --- what a seed means, in every version ---------------------------------------------------------------------------


def test_a_seed_means_the_same_photos_for_ever():
    numbered = heads.Split(np.arange(9, dtype=np.float32)[:, None], np.array([0, 1, 1, 0, 1, 1, 0, 1, 2]))
    drawn = heads.batches(numbered, heads.Settings((0.1,), 3, 1, 12, 10, 10, 7))
    features, labels = next(drawn)
    assert features[:, 0].tolist() == [6, 4, 0, 0, 8, 8, 8, 8, 0, 0, 4, 4]
    assert labels.tolist() == [0, 1, 0, 0, 2, 2, 2, 2, 0, 0, 1, 1]
    features, labels = next(drawn)
    assert features[:, 0].tolist() == [3, 0, 4, 5, 7, 4, 2, 7, 8, 0, 3, 8]
    assert heads.sample(numbered, 12, 7).tolist() == [0, 8, 3, 3, 8, 1, 3, 5, 8, 6, 1, 3]


def test_a_class_s_photos_are_drawn_by_their_order():
    """However many there are: a sort that mixes equals would draw others in another version of numpy."""
    labels = np.arange(600) % 3
    chosen = heads.sample(heads.Split(np.arange(600), labels), 50, 7)
    random = np.random.RandomState([7, 3])
    drawn = random.randint(0, 3, (64, 50))[0]
    places = (random.random_sample((64, 50))[0] * 200).astype(int)
    assert chosen.tolist() == [np.flatnonzero(labels == label)[at] for label, at in zip(drawn, places)]


def test_a_seed_means_the_same_first_weights_and_the_same_validation_photos_for_ever():
    labels = np.array([0, 1, 1, 0, 1, 1, 0, 1, 2])
    features = np.array([[1.0 * (n % 3 == 0), 1.0 * (n % 2)] for n in range(9)], np.float32)
    asked, seen = heads.Settings((0.0,), 3, 12, 2, 4, 1, 7), []
    split = heads.Split(features, labels)
    heads.race(heads.batches(split, asked), split, asked, seen.extend)
    found = [float(each.validation_accuracy[0]) for each in seen]
    assert found == [0.25] * 5 + [
        0.75,
        0.25,
        0.25,
        0.25,
        0.0,
        0.25,
        0.0,
    ]
    narrow = heads.Split(np.arange(9, dtype=np.float32)[:, None], labels.clip(0, 1))
    asked = heads.Settings((0.0,), 2, 1, -1, 2, 1, 7)
    start = heads.race(heads.batches(narrow, asked), narrow, asked, lambda block: None)
    assert start.weights.ravel() == pytest.approx([-0.00010008410, 0.00025419964], abs=1e-9)
    assert start.bias.tolist() == [[0, 0]]


def test_the_first_weights_are_as_many_as_the_widest_head_and_none_beyond_two_deviations():
    wide = heads.Split(np.zeros((6, 3000), np.float32), np.arange(6) % 3)
    asked = heads.Settings((0.0,), 3, 1, -1, -1, 1, 1)
    start = heads.race(heads.batches(wide, asked), wide, asked, lambda block: None)
    assert start.weights.shape == (1, 3000, 3)
    assert 0.00199 < np.abs(start.weights).max() <= 0.002
    assert start.weights.std() == pytest.approx(0.00088, rel=0.02)  # of a normal one, cut off at two deviations


# --- how a race is told ----------------------------------------------------------------------------------------------


def ticking():
    """A clock that is a sixteenth of a second further at each look."""
    looks = iter(range(80, 1000000))
    return lambda: next(looks) / 16.0


def test_evaluations_come_in_blocks_of_a_quarter_of_a_second_with_the_time_since_training_began():
    asked, blocks = settings([0.1], steps=5, interval=1), []
    learned_from = heads.batches(clusters(), asked)
    heads.race(learned_from, clusters(30, seed=1), asked, lambda b: blocks.append(list(b)), clock=ticking())
    assert [[each.step for each in block] for block in blocks] == [[1, 2], [3, 4], [5]]
    assert [each.seconds for block in blocks for each in block] == [1 / 16.0, 3 / 16.0, 6 / 16.0, 8 / 16.0, 11 / 16.0]


def test_whoever_looks_sees_the_weights_of_the_last_evaluation_and_a_stop_ends_it_there():
    seen, answers = [], iter([False, True])

    def look(shown):
        seen.append((shown.steps, shown.weights.copy(), shown.bias.copy(), dict(shown.diverged)))

    asked = settings([0.1, 0.5], steps=50, interval=1)
    result, evaluations = race(asked, look=look, stop=lambda: next(answers), clock=ticking())
    assert [each[0] for each in seen] == [2, 4]
    assert (result.steps, evaluations[-1].step, len(evaluations)) == (4, 4, 4)
    assert (seen[1][1] == result.weights).all()
    assert (seen[1][2] == result.bias).all()
    assert (seen[0][1] != result.weights).any()
    two, _ = race(settings([0.1, 0.5], steps=2, interval=1))
    assert (seen[0][1] == two.weights).all()
    assert (seen[0][2] == two.bias).all()
    assert seen[0][3] == seen[1][3] == {}


def test_whoever_looks_sees_the_end_of_a_race_too_and_which_lanes_diverged():
    seen = []
    with np.errstate(over="raise", invalid="raise"):  # what overflows is judged, and warned of nowhere
        race(settings([1e-30, 10.0], steps=4, interval=2), training=clusters(scale=1e25), look=seen.append)
    assert [each.steps for each in seen] == [4]
    assert seen[0].diverged == {1: 2}
    del seen[:]
    result, _ = race(settings([0.1, 0.5], steps=4), look=seen.append)
    assert (seen[0].weights == result.weights).all()
    assert (seen[0].bias == result.bias).all()


def test_weights_are_stored_every_so_many_steps_and_do_not_change_afterwards():
    stored = []
    result, _ = race(settings([0.1, 0.5], steps=5), store=(2, stored.append))
    assert [each.steps for each in stored] == [2, 4]
    for each in stored:
        alone, _ = race(settings([0.1, 0.5], steps=each.steps))
        assert (each.weights == alone.weights).all()
        assert (each.bias == alone.bias).all()
        assert each.diverged == {}
    assert (stored[1].weights != result.weights).any()


def test_a_race_ends_with_its_batches():
    asked, seen = settings([0.1], steps=50, interval=2), []
    three = [next(heads.batches(clusters(), asked)) for _ in range(3)]
    result = heads.race(iter(three), clusters(30, seed=1), asked, seen.extend)
    assert (result.steps, [each.step for each in seen]) == (3, [2])
    nothing = heads.race(iter([]), clusters(30, seed=1), asked, seen.extend)
    assert (nothing.steps, len(seen)) == (0, 1)


def test_a_batch_is_drawn_in_parts_only_where_it_is_larger():
    asked = settings([0.1], train=10)
    for at_once, kind in ((0, np.ndarray), (1, heads.Drawn), (9, heads.Drawn), (10, np.ndarray), (11, np.ndarray)):
        features, labels = next(heads.batches(clusters(), asked, at_once))
        assert type(features) is kind
        assert len(labels) == 10
        whole, same = next(heads.batches(clusters(), asked))
        assert (features[0:10] == whole).all()
        assert (labels == same).all()
    everything, _ = next(heads.batches(clusters(), asked._replace(train_batch_size=-1), 4))
    assert everything.shape == (90, WIDTH)


@pytest.mark.parametrize("at_once", [1, 3, 9, 10, 11])
def test_parts_of_any_size_teach_and_measure_the_same(at_once):
    asked, seen = settings([0.05, 0.5], steps=20, train=10, interval=5), []
    whole, expected = race(asked)
    batches = heads.batches(clusters(), asked, at_once)
    parts = heads.race(batches, clusters(30, seed=1), asked, seen.extend, at_once=at_once)
    assert np.abs(parts.weights - whole.weights).max() <= 1e-5
    assert np.abs(parts.bias - whole.bias).max() <= 1e-5
    for one, other in zip(seen, expected):
        assert one.training_accuracy == pytest.approx(other.training_accuracy, abs=1e-6)
        assert one.training_cross_entropy == pytest.approx(other.training_cross_entropy, abs=1e-5)
        assert one.validation_cross_entropy == pytest.approx(other.validation_cross_entropy, abs=1e-5)


def test_the_last_cross_entropy_is_the_mean_over_the_last_500_steps():
    def evaluated(step, *figures):
        return heads.Evaluation(step, 0.0, None, None, None, np.array(figures))

    history = [evaluated(100, 9.0, 9.0), evaluated(500, 9.0, 9.0), evaluated(501, 1.0, 2.0), evaluated(1000, 3.0, 5.0)]
    assert heads.last_cross_entropy(history).tolist() == [2.0, 3.5]
    assert heads.last_cross_entropy(history[:1]).tolist() == [9.0, 9.0]


def test_logits_beyond_all_numbers_are_measured_and_said_as_they_are():
    """Without a warning, which would be one at every step."""
    features = np.full((2, 3), 1e30, np.float32)
    weights, bias = np.array([[1e30, -1.0]] * 3, np.float32), np.zeros(2, np.float32)
    with np.errstate(over="raise", invalid="raise"):
        _, cross_entropy = heads.measure(heads.Split(features, np.array([0, 1])), weights, bias)
        said = heads.probabilities(features, weights, bias)
    assert np.isnan(cross_entropy)
    assert np.isnan(said).any()
