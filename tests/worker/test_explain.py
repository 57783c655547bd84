"""What an answer hangs on, asked of real networks about drawn lamps."""

import io
import os

import numpy as np
import pytest
from PIL import Image, ImageDraw

from engine.contract import catalog, choices, protocol, signatures, specs
from engine.contract import dataset as datasets
from engine.contract.kinds.mnist import MnistSpec
from engine.contract.kinds.race import RaceSpec
from engine.contract.run_folder import LabHome, read_json, write_json
from engine.worker import export
from engine.worker.classify import explain, gradients, models, skew
from engine.worker.features import bottlenecks
from engine.worker.formats import tflite
from engine.worker.learning import calibration, heads

COLOURS = {"green": (30, 160, 60), "red": (200, 40, 40), "yellow": (220, 200, 50)}
LABELS = sorted(COLOURS)
KEY = "a-run:0.5"
QUESTIONS = {
    "skew": protocol.CheckPreprocessing,
    "occlusion": protocol.MapOcclusion,
    "grad_cam": protocol.MapGradients,
    "neighbours": protocol.FindNeighbours,
    "outlier": protocol.JudgeOutlier,
}


def lamp(colour, centre, radius=16, size=(96, 64), seed=0):
    noise = np.random.RandomState(seed).randint(0, 80, (size[1], size[0], 3)).astype(np.uint8)
    image = Image.fromarray(noise)
    x, y = centre
    ImageDraw.Draw(image).ellipse([x - radius, y - radius, x + radius, y + radius], fill=COLOURS[colour])
    return image


def encoded(image, form="PNG", **options):
    file = io.BytesIO()
    image.save(file, form, **options)
    return file.getvalue()


class Used:
    def __init__(self, entry, path):
        self.entry, self.path = entry, path
        self.sha256 = bottlenecks.fingerprints([path], 1, lambda _: None, lambda: False)[0]


@pytest.fixture(scope="module")
def run(assets, mobilenet, tmp_path_factory):
    """A home with a finished run on lamps, as engine/worker/race/retrain.py leaves it, and its photos."""
    home = LabHome(str(tmp_path_factory.mktemp("lab")))
    os.symlink(assets.assets, home.assets)
    folder = home.run("a-run")
    os.makedirs(folder.artifacts)
    random, used = np.random.RandomState(0), []
    root = os.path.join(home.path, "lamps")
    for label, colour in enumerate(LABELS):
        os.makedirs(os.path.join(root, colour))
        for number in range(14):
            name = f"{colour}/{number:02d}.png"
            centre = (random.randint(20, 76), random.randint(20, 44))
            image = lamp(colour, centre, random.randint(10, 20), seed=random.randint(1000))
            image.save(os.path.join(root, name))
            split = "validation" if number < 3 else "testing" if number < 6 else "training"
            used.append(Used(datasets.Photo(name, label, split), os.path.join(root, name)))
    datasets.write(folder.dataset, datasets.Dataset("Lamps", root, LABELS, [each.entry for each in used]))
    specs.write(folder.spec, RaceSpec())
    cache = bottlenecks.Cache(home.bottlenecks, bottlenecks.key(mobilenet), 1280)
    runtime = bottlenecks.choose_runtime(mobilenet, home, choices.CPU, 1)
    paths = {each.sha256: each.path for each in used}
    vectors, _ = bottlenecks.extract(runtime, paths, cache, lambda _: None, lambda: False)
    cache.close()
    splits = {}
    for name in datasets.SPLITS:
        some = [each for each in used if each.entry.split == name]
        features = np.stack([vectors[each.sha256] for each in some])
        splits[name] = heads.Split(features, np.array([each.entry.label for each in some]))
    settings = heads.Settings((0.5, 0.1), 3, 100, -1, -1, 50, 1)
    learned = heads.batches(splits["training"], settings)
    trained = heads.race(learned, splits["validation"], settings, lambda _: None)
    lanes = {name: (trained.weights[at], trained.bias[at]) for at, name in enumerate(("0.5", "0.1"))}
    for name, (weights, bias) in lanes.items():
        export.write_lane(folder, name, weights, bias)
    export.write_contract(folder, mobilenet, LABELS, {"learning_rate": 0.1})
    calibration.write(folder, lanes, splits)
    calibration.write_photos(folder, used)
    signatures.sign(folder)
    return home, folder, used


@pytest.fixture
def ask(run):
    known = models.Models(run[0])

    def asked(question, image, key=KEY, **more):
        data = image if isinstance(image, bytes) else encoded(image)
        return explain.answer(known, QUESTIONS[question](model=key, image=data, **more))

    return asked


def hottest(grid):
    """(down, across) of the strongest place, 0..1."""
    grid = np.array(grid)
    row, column = np.unravel_index(grid.argmax(), grid.shape)
    return (row + 0.5) / grid.shape[0], (column + 0.5) / grid.shape[1]


@pytest.mark.parametrize("question", ["occlusion", "grad_cam"])
@pytest.mark.parametrize("centre", [(20, 18), (76, 46)])
def test_the_answer_hangs_on_the_lamp(ask, question, centre):
    heat = ask(question, lamp("red", centre))
    assert heat.label == "red"
    assert heat.score > 0.5
    down, across = hottest(heat.grid)
    assert abs(down - centre[1] / 64.0) < 0.3
    assert abs(across - centre[0] / 96.0) < 0.25
    assert Image.open(io.BytesIO(heat.seen_png)).size == (224, 224)
    if question == "grad_cam":
        assert np.shape(heat.grid) == (7, 7)
        assert np.min(heat.grid) >= 0
        assert np.max(heat.grid) == 1


def test_another_label_can_be_asked_for_and_only_one_that_there_is(ask):
    picture = lamp("red", (48, 32))
    heat = ask("occlusion", picture, label="green")
    assert heat.label == "green"
    assert heat.score < 0.5
    assert np.min(heat.grid) < 0  # green gains where the red lamp is covered
    with pytest.raises(models.Refused, match="no label 'blue'"):
        ask("occlusion", picture, label="blue")


def test_grad_cam_of_a_linear_last_layer_is_its_weighted_maps(ask, run, mobilenet):
    picture = lamp("yellow", (60, 30))
    pixels = np.asarray(Image.open(io.BytesIO(ask("grad_cam", picture).seen_png)))
    maps = np.array(mobilenet.body.maps(pixels[None].astype(np.float32)))[0]  # (7, 7, 1280)
    with np.load(os.path.join(run[1].lanes, "0.5.npz")) as file:
        weighted = np.maximum(maps.dot(file["weights"][:, LABELS.index("yellow")]), 0)
    assert ask("grad_cam", picture).grid == pytest.approx(weighted / weighted.max(), abs=1e-3)


def test_a_training_photo_is_its_own_neighbour(ask, run):
    home, _, used = run
    photo = next(each for each in used if each.entry.file == "red/09.png")
    with open(photo.path, "rb") as file:
        data = file.read()
    photos = ask("neighbours", data, photos=5).photos
    assert photos[0]._asdict() == {
        "path": photo.path,
        "file": "red/09.png",
        "label": "red",
        "distance": pytest.approx(0, abs=1e-6),
        "split": "training",
    }
    assert len(photos) == 5
    assert [each.label for each in photos].count("red") >= 4
    distances = [each.distance for each in photos]
    assert distances == sorted(distances)
    assert distances[1] > 1e-4
    os.rename(photo.path, photo.path + ".away")
    try:
        assert ask("neighbours", data, photos=1).photos[0].path == ""
    finally:
        os.rename(photo.path + ".away", photo.path)


def test_a_picture_of_something_else_is_none_of_these(ask, run):
    squares = np.kron(np.indices((8, 8)).sum(axis=0) % 2, np.ones((16, 16))) * 255
    other = ask("outlier", Image.fromarray(squares.astype(np.uint8)).convert("RGB"))
    assert other.is_none_of_these
    assert other.distance > other.distance_threshold > 0
    rule = read_json(run[1].calibration)["lanes"]["0.5"]["none_of_these"]
    assert (other.false_alarms, other.photos) == (rule["false_alarms"], 9)
    with open(run[2][8].path, "rb") as file:  # learned from
        own = ask("outlier", file.read())
    assert own.distance == pytest.approx(0, abs=1e-6)
    assert own.is_none_of_these == (own.score < own.score_threshold)


def test_without_the_cache_neighbours_are_refused_and_the_score_alone_judges(ask, run):
    home = run[0]
    os.rename(home.bottlenecks, home.bottlenecks + ".away")
    try:
        with pytest.raises(models.Refused, match="the cache was deleted"):
            ask("neighbours", lamp("red", (48, 32)), photos=3)
        outlier = ask("outlier", lamp("red", (48, 32)))
        assert (outlier.distance, outlier.distance_threshold) == (None, None)
        assert not os.path.exists(home.bottlenecks)
    finally:
        os.rename(home.bottlenecks + ".away", home.bottlenecks)


def test_a_run_that_measured_nothing_says_so(ask, run):
    for path, question in ((run[1].calibration, "outlier"), (run[1].photos, "neighbours")):
        os.rename(path, path + ".away")
        try:
            with pytest.raises(models.Refused, match="Run it again with the same settings"):
                ask(question, lamp("red", (48, 32)))
        finally:
            os.rename(path + ".away", path)


@pytest.mark.parametrize(
    "question, key, image, sentence",
    [
        pytest.param("occlusion", KEY, b"%PDF-1.7", "This picture cannot be used: the content is no JPEG", id="a PDF"),
        pytest.param("skew", KEY, b"", "the file is empty", id="nothing"),
        pytest.param("grad_cam", "../a-run", None, "There is no finished model", id="a path"),
        pytest.param("occlusion", "gone", None, "There is no finished model", id="a run that was deleted"),
        pytest.param("neighbours", "a-run:../0.5", None, "There is no finished model", id="a path as a lane"),
        pytest.param("neighbours", "mobilenet_v2", None, "did not learn in the lab", id="a pretrained backbone"),
        pytest.param("outlier", "model:gone", None, "did not learn in the lab", id="an uploaded model"),
    ],
)
def test_what_cannot_be_answered_is_a_sentence(ask, question, key, image, sentence):
    with pytest.raises(models.Refused, match=sentence):
        ask(question, lamp("red", (48, 32)) if image is None else image, key=key)


@pytest.mark.parametrize("size", [(1, 1), (3, 900)])
def test_any_size_of_picture_can_be_asked_about(ask, size):
    picture = Image.new("RGB", size, (200, 40, 40))
    assert len(ask("occlusion", picture).grid) >= 3
    assert ask("skew", picture).settings[0].is_usual
    assert len(ask("neighbours", picture, photos=100).photos) == 24


def test_a_pretrained_backbone_is_asked_with_imagenet_s_names(ask):
    heat = ask("grad_cam", lamp("red", (48, 32)), key="mobilenet_v2")
    assert np.shape(heat.grid) == (7, 7)
    assert ask("skew", lamp("red", (48, 32)), key="mobilenet_v2").settings[0].top[0][0] == heat.label


def test_grad_cam_reads_a_last_layer_that_was_replaced_and_misses_one_that_is_gone(ask, run):
    picture, path = lamp("yellow", (60, 30)), os.path.join(run[1].lanes, "0.5.npz")
    before = ask("grad_cam", picture, label="red")
    os.rename(path, path + ".away")
    try:
        with np.load(path + ".away") as file:
            np.savez(path, weights=-file["weights"], bias=file["bias"])
        os.utime(path, (1, 1))
        signatures.sign(run[1])
        assert ask("grad_cam", picture, label="red").grid != before.grid
        os.remove(path)
        signatures.sign(run[1])
        with pytest.raises(models.Refused, match="has no lane"):
            ask("grad_cam", picture)
    finally:
        os.rename(path + ".away", path)
        signatures.sign(run[1])


# --- other kinds of models -------------------------------------------------------------------------------------------


def upload(home, name, suffix, path, labels, **asked):
    """A model as engine/models/models.py keeps it; the file is a link."""
    folder = models.keys.folder(home, name)
    os.makedirs(folder)
    os.symlink(path, os.path.join(folder, "model." + suffix))
    with open(os.path.join(folder, "labels.txt"), "w") as file:
        file.write("".join(label + "\n" for label in labels))
    usual = dict.fromkeys(models.keys.Uploaded._fields, "")
    usual.update(suffix=suffix, input_mean=127.5, input_std=127.5, preprocessing=catalog.PILLOW, added=0.0)
    usual.update(outputs=models.keys.PROBABILITIES, output_layer="final_result", input_layer="input", **asked)
    write_json(os.path.join(folder, "model.json"), usual)
    return "model:" + name


@pytest.fixture
def elsewhere(tmp_path):
    """A home of its own, and what asks it."""
    home = LabHome(str(tmp_path / "lab"))
    known = models.Models(home)

    def asked(question, key, image, **more):
        data = image if isinstance(image, bytes) else encoded(image)
        return explain.answer(known, QUESTIONS[question](model=key, image=data, **more))

    return home, asked


def test_an_uploaded_graph_is_explained_with_the_normalisation_that_was_given(elsewhere, tmp_path):
    home, asked = elsewhere
    path = str(tmp_path / "graph.pb")
    with open(path, "wb") as file:
        file.write(graph_of(with_branches).SerializeToString())
    key = upload(home, "corner", "pb", path, ["r", "g", "b"], input_height=12, input_width=16)
    picture = Image.new("RGB", (16, 12), (0, 0, 0))
    picture.paste((0, 255, 0), (10, 6, 16, 12))
    for question in ("occlusion", "grad_cam"):
        heat = asked(question, key, picture)
        assert heat.label == "g"
        down, across = hottest(heat.grid)
        assert min(down, across) > 0.5
    settings = [row.name for row in asked("skew", key, picture).settings]
    assert skew.NORMALISATIONS[0][0] not in settings
    assert skew.NORMALISATIONS[1][0] in settings


def test_a_tflite_file_has_no_gradients_and_can_be_occluded(elsewhere, run, ask):
    ask("neighbours", lamp("red", (48, 32)), photos=1)  # the backbone was converted for it at the latest
    home, asked = elsewhere
    network = read_json(run[1].contract)
    row = catalog.backbone(network["backbone"])
    path = bottlenecks.backbone_tflite_path(run[0], row, network["weights_sha256"])
    labels = [f"feature {number}" for number in range(row.width)]
    key = upload(home, "features", "tflite", path, labels, input_height=224, input_width=224, input_std=1.0)
    with pytest.raises(models.Refused, match="no gradients in a TFLite file"):
        asked("grad_cam", key, lamp("red", (48, 32)))
    assert asked("occlusion", key, lamp("red", (48, 32))).label.startswith("feature")


def test_of_a_network_for_digits_ink_is_covered_with_paper(elsewhere):
    import tensorflow as tf

    home, asked = elsewhere
    folder = home.run("digits")
    os.makedirs(folder.networks)
    specs.write(folder.spec, MnistSpec())
    write_json(folder.contract, {"networks": [{"name": "half"}], "labels": ["left", "right"]})
    weights = np.zeros((28, 28, 2), np.float32)
    weights[:, :14, 0] = weights[:, 14:, 1] = 1e-3

    def halves(ink):
        return tf.nn.softmax(tf.matmul(tf.reshape(ink, [1, 784]), weights.reshape(784, 2)))

    tflite.keep(folder.network_tflite("half"), halves, [1, 28, 28])
    signatures.sign(folder)
    picture = Image.new("RGB", (28, 28), (0, 0, 0))
    picture.paste((255, 255, 255), (18, 4, 22, 24))
    heat = asked("occlusion", "digits:half", picture)
    assert heat.label == "right"
    assert hottest(heat.grid)[1] > 0.5
    assert np.min(heat.grid) >= 0  # nothing that is put over the paper adds ink
    for question, sentence in (("skew", "takes gray pictures"), ("grad_cam", "networks of photos")):
        with pytest.raises(models.Refused, match=sentence):
            asked(question, "digits:half", picture)
    with pytest.raises(models.Refused, match="has no backbone"):
        asked("neighbours", "digits:half", picture, photos=3)


def test_the_graph_of_somebody_s_retrain_py_is_explained(elsewhere):
    data = os.environ.get("LAB_TEST_DATA")
    if not data:
        pytest.skip("LAB_TEST_DATA names no folder with the larger test data")
    plates = os.path.join(data, "tf1", "plates_mobilenet_0.25_128")
    with open(os.path.join(plates, "retrained_labels.txt")) as file:
        labels = file.read().split("\n")[:-1]
    home, asked = elsewhere
    graph = os.path.join(plates, "retrained_graph.pb")
    key = upload(home, "plates", "pb", graph, labels, input_height=128, input_width=128)
    folder = os.path.join(plates, "golden", "images")
    pictures = [os.path.join(where, name) for where, _, names in os.walk(folder) for name in sorted(names)]
    with open(pictures[0], "rb") as file:
        heat = asked("grad_cam", key, file.read())
    assert np.shape(heat.grid) == (4, 4)
    assert np.max(heat.grid) == 1


# --- wrong settings --------------------------------------------------------------------------------------------------


def test_the_usual_setting_comes_first_and_the_others_move_the_answer(ask):
    rows = ask("skew", lamp("red", (48, 32))).settings
    assert [row.is_usual for row in rows] == [True] + [False] * (len(rows) - 1)
    usual = rows[0]
    assert usual.top[0] == ("red", pytest.approx(usual.usual_score))
    assert all(sorted(label for label, _ in row.top) == LABELS for row in rows)
    assert all(dict(row.top)["red"] == pytest.approx(row.usual_score) for row in rows)
    moved = {row.name: abs(row.usual_score - usual.usual_score) for row in rows}
    assert moved["BGR in place of RGB"] > 0.3  # a red lamp turns blue
    assert moved["Nearest neighbour in place of bilinear"] < moved["BGR in place of RGB"]
    assert len(moved) == len(rows) == 9


def names(data, preprocessing=catalog.PILLOW, mean=(127.5,) * 3, std=(127.5,) * 3):
    return {each.name: each.pixels for each in skew.settings(data, preprocessing, 20, 30, mean, std)}


def test_a_wrong_normalisation_is_what_a_network_that_normalises_itself_must_see():
    mean, std = np.array([123.675, 116.28, 103.53]), np.array([58.395, 57.12, 57.375])
    found = names(encoded(lamp("red", (48, 32))), mean=mean, std=std)
    usual = found[skew.USUAL]
    assert "ImageNet's mean and std" not in found
    for name, other_mean, other_std in skew.NORMALISATIONS:
        if name in found:
            seen_by_the_network = (found[name] - mean) / std
            expected = (usual - np.array(other_mean)) / np.array(other_std)
            assert seen_by_the_network == pytest.approx(expected, abs=1e-4)
    assert found["0 to 1, without a mean"].shape == (20, 30, 3)


def test_only_what_this_picture_can_suffer_from_is_tried():
    upright = lamp("red", (30, 20))
    exif = Image.Exif()
    exif[0x0112] = 6
    turned = encoded(upright, "JPEG", quality=95, exif=exif.tobytes())
    found = names(turned)
    assert "EXIF orientation ignored" in found
    plain = names(encoded(upright, "JPEG", quality=95))
    assert "EXIF orientation ignored" not in plain
    assert found["EXIF orientation ignored"] == pytest.approx(plain[skew.USUAL])
    cut = "The middle cut out, in place of the whole picture squashed"
    assert cut not in plain  # 96 x 64 has the shape of 30 x 20
    assert cut in names(encoded(lamp("red", (30, 20), size=(64, 64))))
    gray = names(encoded(Image.new("RGB", (60, 40), (90, 90, 90))))
    assert "BGR in place of RGB" not in gray
    original = names(turned, catalog.TENSORFLOW)
    assert "EXIF orientation applied" in original
    assert "Pillow's resize, antialiased" in original
    assert "Pillow's JPEG decoder" in names(encoded(upright, "JPEG", quality=95), catalog.TENSORFLOW)


# --- graphs ----------------------------------------------------------------------------------------------------------


def graph_of(build):
    import tensorflow as tf

    with tf.Graph().as_default() as graph:
        build(tf, tf.compat.v1.placeholder(tf.float32, [None, 12, 16, 3], name="input"))
    return graph.as_graph_def()


def with_branches(tf, x):
    """A residual block, two branches and a softmax behind a reshape, as in old graphs."""
    kernel = np.zeros((3, 3, 3, 3), np.float32)
    kernel[1, 1] = np.eye(3)
    x = tf.nn.relu(tf.nn.conv2d(x, kernel, 2, "SAME"))
    x = x + tf.nn.conv2d(x, kernel, 1, "SAME")
    x = tf.concat([x, tf.nn.max_pool2d(x, 1, 1, "SAME")], axis=3, name="joined")
    pooled = tf.nn.avg_pool2d(x, [6, 8], 1, "VALID")
    logits = tf.matmul(tf.reshape(pooled, [-1, 6]), np.eye(6, 3, dtype=np.float32))
    tf.reshape(tf.nn.softmax(logits), [-1, 3], name="final_result")


def test_the_last_maps_of_a_graph_are_found_behind_its_branches():
    parts = gradients.of_graph(graph_of(with_branches), "input", "final_result", (12, 16), (0,) * 3, (1,) * 3)
    picture = np.zeros((12, 16, 3), np.float32)
    picture[9, 5, 1] = 255  # what the kernel that moves by two is centred on
    assert np.shape(parts.maps(picture[None])) == (1, 6, 8, 6)
    heat = gradients.Seen(parts, (12, 16)).heat(picture, 1)
    assert heat[4, 2] == 1
    assert (heat > 0).sum() == 1
    assert not gradients.Seen(parts, (12, 16)).heat(picture, 0).any()  # nothing speaks for that label


def without_rows(tf, x):
    tf.nn.softmax(tf.reduce_mean(x, axis=[1, 2]), name="final_result")


def test_a_graph_without_rows_and_columns_or_gradients_is_refused_with_the_reason():
    def of(build):
        return gradients.of_graph(graph_of(build), "input", "final_result", (12, 16), (0,) * 3, (1,) * 3)

    with pytest.raises(gradients.NoGradients, match="nothing between picture and answer has rows and columns"):
        of(without_rows)

    def counted(tf, x):
        tf.cast(tf.argmax(tf.nn.relu(x), axis=1), tf.float32, name="final_result")

    with pytest.raises(gradients.NoGradients, match="have no gradients"):
        gradients.Seen(of(counted), (12, 16)).heat(np.ones((12, 16, 3), np.float32), 1)
    with pytest.raises(gradients.NoGradients, match="no layer 'softmax'"):
        gradients.of_graph(graph_of(with_branches), "input", "softmax", (12, 16), (0,) * 3, (1,) * 3)
