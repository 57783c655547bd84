"""How right a graph is, counted by hand."""

import os

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from engine.worker import evaluate
from engine.worker.formats import graphs

v1 = tf.compat.v1
LABELS = ["blue", "green", "red"]


@pytest.fixture(scope="module")
def colours(tmp_path_factory):
    """A graph of 12 x 8 pixels that says which colour there is most of; its answers are a softmax of the means."""
    path = str(tmp_path_factory.mktemp("graphs") / "colours.pb")
    with tf.Graph().as_default() as graph:
        x = v1.placeholder(tf.float32, [1, 8, 12, 3], name="input")
        tf.nn.softmax(tf.reverse(tf.reduce_mean(x, [1, 2]), [1]), name="final_result")
    with open(path, "wb") as file:
        file.write(graph.as_graph_def().SerializeToString())
    return path


@pytest.fixture
def photos(tmp_path):
    """(path, label) of five photos, of which the fourth has the wrong label and the fifth is none."""
    listed = []
    for number, (colour, label) in enumerate([("blue", 0), ("lime", 1), ("red", 2), ("red", 0)]):
        path = str(tmp_path / f"{number}.png")
        Image.new("RGB", (30, 20), colour).save(path)
        listed.append([path, label])
    broken = str(tmp_path / "broken.jpg")
    with open(broken, "wb") as file:
        file.write(b"\xff\xd8\xff")
    return listed + [[broken, 1]]


def question(graph, photos, **given):
    return dict({"graph": graph, "labels": LABELS, "photos": photos, "input_mean": 0, "input_std": 255}, **given)


def test_accuracy_and_cross_entropy_are_those_counted_by_hand(colours, photos):
    heard = []
    said = evaluate.evaluate(question(colours, photos), heard.append)
    right = np.exp(1) / (np.exp(1) + 2)  # softmax of (1, 0, 0)
    assert said["accuracy"] == 3 / 4
    np.testing.assert_allclose(said["cross_entropy"], -(3 * np.log(right) + np.log(right / np.exp(1))) / 4, rtol=1e-6)
    assert (said["photos"], said["classes"]) == (4, 3)
    assert said["per_class"] == [["blue", 1, 2], ["green", 1, 1], ["red", 1, 1]]
    assert [os.path.basename(path) for path, _ in said["skipped"]] == ["broken.jpg"]
    assert (said["input_layer"], said["input_height"], said["input_width"]) == ("input", 8, 12)  # found in the graph
    assert heard == [1, 2, 3, 4, 5]


def test_several_photos_at_once_give_what_one_at_a_time_gives(tmp_path, photos):
    path = str(tmp_path / "square.pb")
    with tf.Graph().as_default() as graph:
        x = v1.placeholder(tf.float32, [None, 8, 8, 3], name="input")
        tf.nn.softmax(tf.reverse(tf.reduce_mean(x, [1, 2]), [1]), name="final_result")
    with open(path, "wb") as file:
        file.write(graph.as_graph_def().SerializeToString())
    said = evaluate.evaluate(question(path, photos[:4] * 5), lambda done: None)
    assert (said["accuracy"], said["photos"]) == (3 / 4, 20)


def test_probabilities_that_underflow_do_not_make_the_cross_entropy_endless(colours, photos):
    said = evaluate.evaluate(question(colours, photos, input_std=0.5), lambda done: None)
    assert said["accuracy"] == 3 / 4
    np.testing.assert_allclose(said["cross_entropy"], -np.log(1e-10) / 4, rtol=1e-6)


@pytest.mark.parametrize(
    "given, sentence",
    [
        ({"labels": ["blue", "green"]}, "label 2, but there are 2 labels"),
        ({"labels": LABELS + ["yellow"]}, "answers with the shape .1, 3., but there are 4 labels"),
        ({"labels": "/no/such/labels.txt"}, "labels.txt cannot be read"),
        ({"photos": []}, "no photos"),
        ({"photos": [["/no/such/photo.jpg", 0]]}, "None of the 1 photos can be used: it cannot be read"),
        ({"input_std": 0}, "cannot be divided"),
        ({"input_height": -3}, "1 to 2,048 pixels"),
        ({"output_layer": "nowhere"}, "no layer 'nowhere'"),
        ({"graph": "/no/such/graph.pb"}, "graph.pb cannot be read"),
    ],
)
def test_what_cannot_be_evaluated_is_said(colours, photos, given, sentence):
    with pytest.raises(graphs.GraphRefused, match=sentence):
        evaluate.evaluate(dict(question(colours, photos), **given), lambda done: None)


def test_the_graph_that_retrain_py_made_is_right_on_its_own_photos():
    data = os.environ.get("LAB_TEST_DATA")
    if not data:
        pytest.skip("LAB_TEST_DATA names no folder with the larger test data")
    folder = os.path.join(data, "tf1", "plates_mobilenet_0.25_128")
    with open(os.path.join(folder, "retrained_labels.txt")) as file:
        labels = file.read().splitlines()
    photos = []
    for state in ("Indiana", "Wyoming"):
        pictures = os.path.join(folder, "golden", "images", state)
        photos += [[os.path.join(pictures, name), labels.index(state.lower())] for name in sorted(os.listdir(pictures))]
    said = evaluate.evaluate(
        {
            "graph": os.path.join(folder, "retrained_graph.pb"),
            "labels": os.path.join(folder, "retrained_labels.txt"),
            "photos": photos,
        },
        lambda done: None,
    )
    assert (said["photos"], said["classes"], said["skipped"]) == (8, len(labels), [])
    assert said["accuracy"] >= 0.75
