"""Frozen graphs: which are read, what is said of them, and what calling them gives."""

import os
import re
import tarfile

import numpy as np
import pytest
import tensorflow as tf

from engine.worker.formats import graphs

v1 = tf.compat.v1


def graph_of(build):
    """The GraphDef of what a function adds to an empty TF1 graph."""
    with tf.Graph().as_default() as graph:
        build()
    return graph.as_graph_def()


def written(folder, graph_def):
    path = str(folder.join("graph.pb")) if hasattr(folder, "join") else str(folder / "graph.pb")
    with open(path, "wb") as file:
        file.write(graph_def.SerializeToString())
    return path


def small(batch=None, name="input"):
    """A graph in the manner of retrain.py: a convolution, the mean over the picture, three probabilities."""
    random = np.random.RandomState(0)

    def build():
        x = v1.placeholder(tf.float32, [batch, 8, 8, 3], name=name)
        x = tf.nn.conv2d(x, random.randn(3, 3, 3, 4).astype(np.float32), 1, "SAME", name="conv")
        x = tf.reshape(tf.reduce_mean(tf.nn.relu(x), [1, 2]), [-1, 4], name="bottleneck")
        tf.nn.softmax(tf.matmul(x, random.randn(4, 3).astype(np.float32)), name="final_result")

    return graph_of(build)


def pictures(count, size=8):
    return np.random.RandomState(1).uniform(-1, 1, (count, size, size, 3)).astype(np.float32)


def test_the_layer_between_is_as_good_as_an_input(tmp_path):
    graph = graphs.read(written(tmp_path, small()))
    bottleneck = graphs.call(graph, "input", pictures(2), "bottleneck:0").numpy()
    answer = graphs.call(graph, "input:0", pictures(2), "final_result").numpy()
    assert bottleneck.shape == (2, 4)
    np.testing.assert_allclose(answer.sum(axis=1), 1, rtol=1e-6)
    np.testing.assert_allclose(graphs.call(graph, "bottleneck", bottleneck, "final_result").numpy(), answer, rtol=1e-6)


def test_it_is_called_inside_a_function_too(tmp_path):
    graph = graphs.read(written(tmp_path, small()))
    traced = tf.function(lambda x: graphs.call(graph, "input", x, "bottleneck") * 2)
    np.testing.assert_allclose(
        traced(pictures(2)).numpy(), graphs.call(graph, "input", pictures(2), "bottleneck").numpy() * 2, rtol=1e-6
    )


@pytest.mark.parametrize("shape", [None, [1, 8, 8, 3]], ids=["no shape", "one picture"])
def test_a_placeholder_of_another_shape_takes_a_picture(shape, tmp_path):
    def build():
        x = v1.placeholder(tf.float32, shape, name="input")
        tf.reduce_mean(tf.nn.conv2d(x, np.ones((1, 1, 3, 2), np.float32), 1, "SAME"), [1, 2], name="out")

    graph = graphs.read(written(tmp_path, graph_of(build)))
    expected = np.repeat(pictures(1).sum(axis=3).mean(axis=(1, 2))[:, None], 2, axis=1)
    np.testing.assert_allclose(graphs.call(graph, "input", pictures(1), "out").numpy(), expected, atol=1e-5)


@pytest.mark.parametrize(
    "layers, sentence",
    [
        (("inputs", "bottleneck"), "no layer 'inputs'. It has .*'input'.*'final_result'"),
        (("input", "bottelneck"), "no layer 'bottelneck'. It has .*'bottleneck'"),
        (("final_result", "bottleneck"), "does not depend on 'final_result'"),
        (("input", "input"), "the same layer"),
        (("input", "final_result:7"), "cannot take pictures"),
        (("", ""), "no layer ''"),
        (("^input", "final_result"), "does not depend|no layer"),
    ],
)
def test_layers_that_are_not_there_are_named_beside_those_that_are(tmp_path, layers, sentence):
    graph = graphs.read(written(tmp_path, small()))
    with pytest.raises(graphs.GraphRefused, match=sentence):
        graphs.call(graph, layers[0], pictures(1), layers[1])


def test_pictures_of_a_size_that_the_graph_does_not_take_are_refused(tmp_path):
    def build():
        x = v1.placeholder(tf.float32, [None, 8, 8, 3], name="input")
        tf.matmul(tf.reshape(x, [-1, 192]), np.ones((192, 2), np.float32), name="out")

    graph = graphs.read(written(tmp_path, graph_of(build)))
    with pytest.raises((graphs.GraphRefused, tf.errors.InvalidArgumentError)):
        graphs.call(graph, "input", pictures(1, size=7), "out")


def test_a_second_input_without_a_value_is_named(tmp_path):
    def build():
        x = v1.placeholder(tf.float32, [None, 8, 8, 3], name="input")
        tf.multiply(x, v1.placeholder(tf.float32, [], name="keep"), name="out")

    graph = graphs.read(written(tmp_path, graph_of(build)))
    with pytest.raises(graphs.GraphRefused, match="needs a value for keep too"):
        graphs.call(graph, "input", pictures(1), "out")


def test_whether_several_pictures_can_be_given_at_once(tmp_path):
    def build():
        x = v1.placeholder(tf.float32, [1, 8, 8, 3], name="input")
        tf.reshape(tf.reduce_mean(x, [1, 2]), [1, 3], name="one")
        tf.reduce_mean(x, [1, 2], name="each")
        tf.reduce_mean(x - tf.reduce_mean(x, [0, 1, 2]), [1, 2], name="mixed")

    graph = graphs.read(written(tmp_path, graph_of(build)))
    assert graphs.takes_batches(graph, "input", "each", 8)
    assert not graphs.takes_batches(graph, "input", "one", 8)  # as Inception v3 of 2015 does
    assert not graphs.takes_batches(graph, "input", "mixed", 8)


def test_that_is_found_out_while_another_function_is_traced_too(tmp_path):
    graph = graphs.read(written(tmp_path, small()))
    found = []

    def traced(x):
        found.append(graphs.takes_batches(graph, "input", "final_result", 8))
        return x

    tf.function(traced, autograph=False)(1.0)
    assert found == [True]


def batch_norm_graph(after):
    """The operation of 2015, which today's TensorFlow only knows in graphs of that age."""
    random = np.random.RandomState(2)
    values = {
        "mean": random.randn(3),
        "variance": random.rand(3) + 0.1,
        "beta": random.randn(3),
        "gamma": random.randn(3),
    }

    def build():
        v1.placeholder(tf.float32, [None, 8, 8, 3], name="input")
        for name, value in values.items():
            tf.constant(value, tf.float32, name=name)

    graph = graph_of(build)
    node = graph.node.add(name="norm", op="BatchNormWithGlobalNormalization", input=["input"] + list(values))
    node.attr["T"].type = tf.float32.as_datatype_enum
    node.attr["variance_epsilon"].f = 0.001
    node.attr["scale_after_normalization"].b = after
    checked = graph.node.add(name="checked", op="CheckNumerics", input=["norm"])
    checked.attr["T"].type = tf.float32.as_datatype_enum
    checked.attr["message"].s = b"a number is missing"
    graph.node.add(name="out", op="Identity", input=["checked", "^norm"]).attr["T"].type = tf.float32.as_datatype_enum
    graph.versions.producer = 8
    return graph, values


@pytest.mark.parametrize("after", [True, False], ids=["with gamma", "without gamma"])
def test_the_batch_normalisation_of_2015_gives_what_its_definition_says(tmp_path, after):
    definition, values = batch_norm_graph(after)
    graph = graphs.read(written(tmp_path, definition))
    ours = graphs.call(graph, "input", pictures(2), "out").numpy()
    expected = (pictures(2) - values["mean"]) / np.sqrt(values["variance"] + 0.001)
    expected = expected * (values["gamma"] if after else 1) + values["beta"]
    np.testing.assert_allclose(ours, expected, atol=1e-5)
    assert {node.op for node in graphs.between(graph, "input", "out").node} <= {"Mul", "Add", "Const", "Identity"}


def test_8_bit_weights_are_unfolded_to_what_tensorflow_makes_of_them(tmp_path):
    def build():
        x = v1.placeholder(tf.float32, [None, 8, 8, 3], name="input")
        stored = tf.constant(np.arange(12).reshape(1, 1, 3, 4) * 20, tf.quint8, name="stored")
        weights = tf.raw_ops.Dequantize(input=stored, min_range=-1.0, max_range=2.0, mode="MIN_FIRST", name="weights")
        tf.nn.conv2d(x, weights, 1, "SAME", name="out")

    definition = graph_of(build)
    graph = graphs.read(written(tmp_path, definition))
    with tf.Graph().as_default(), v1.Session() as session:
        tf.graph_util.import_graph_def(definition, name="")
        expected = session.run("out:0", {"input:0": pictures(2)})
    np.testing.assert_allclose(graphs.call(graph, "input", pictures(2), "out").numpy(), expected, atol=1e-6)
    assert "Dequantize" not in {node.op for node in graphs.between(graph, "input", "out").node}


def reads_a_file():
    x = v1.placeholder(tf.float32, [None, 8, 8, 3], name="input")
    tf.add(tf.reduce_mean(x), tf.cast(tf.strings.length(tf.io.read_file("/etc/passwd")), tf.float32), name="out")


def writes_in_a_function():
    @tf.function
    def body(x):
        tf.io.write_file("owned", "owned")
        return x

    body(v1.placeholder(tf.float32, [None, 8, 8, 3], name="input"))


def prints():
    tf.identity(v1.Print(v1.placeholder(tf.float32, [], name="input"), ["seen"]), name="out")


def runs_python():
    v1.py_func(lambda x: x, [v1.placeholder(tf.float32, [], name="input")], tf.float32, name="out")


def never_ends():
    x = v1.placeholder(tf.float32, [], name="input")
    tf.while_loop(lambda i: True, lambda i: i + 1, [x], name="out")


def holds_variables():
    v1.get_variable("weights", [3])


@pytest.mark.parametrize(
    "build, named",
    [
        (reads_a_file, "ReadFile"),
        (writes_in_a_function, "WriteFile"),
        (prints, "Print"),
        (runs_python, "PyFunc"),
        (never_ends, "loops, which need not end"),
        (holds_variables, "Freeze it first"),
    ],
)
def test_a_graph_that_does_more_than_compute_is_refused_by_name(tmp_path, build, named):
    path = written(tmp_path, graph_of(build))
    with pytest.raises(graphs.GraphRefused, match=named):
        graphs.read(path)


def test_an_unused_node_that_writes_is_refused_all_the_same(tmp_path):
    definition = small()
    definition.node.add(name="unused", op="WriteFile", input=["input", "input"])
    with pytest.raises(graphs.GraphRefused, match=r"graph\.pb uses WriteFile, which can read or write files"):
        graphs.read(written(tmp_path, definition))


def constant_of(shape):
    definition = small()
    node = definition.node.add(name="large", op="Const")
    node.attr["dtype"].type = tf.float32.as_datatype_enum
    node.attr["value"].tensor.dtype = tf.float32.as_datatype_enum
    node.attr["value"].tensor.float_val.append(1.0)
    for size in shape:
        node.attr["value"].tensor.tensor_shape.dim.add(size=size)
    return definition.SerializeToString()


def nodes_without_end():
    definition = v1.GraphDef()
    for number in range(graphs.NODE_LIMIT + 1):
        definition.node.add(name=str(number), op="NoOp")
    return definition.SerializeToString()


def calls_itself():
    definition = small()
    function = definition.library.function.add()
    function.signature.name = "forever"
    function.node_def.add(name="again", op="PartitionedCall").attr["f"].func.name = "forever"
    return definition.SerializeToString()


def hides_behind_a_function():
    definition = small()
    definition.node.add(name="hidden", op="WriteFile", input=["input", "input"])
    definition.library.function.add().signature.name = "WriteFile"
    return definition.SerializeToString()


def twice_the_same_name():
    definition = small()
    definition.node.add(name="input", op="NoOp")
    return definition.SerializeToString()


@pytest.mark.parametrize(
    "data, sentence",
    [
        pytest.param(lambda: b"", "is empty", id="empty"),
        pytest.param(lambda: b"<html>not found</html>", "is no TensorFlow graph", id="a page"),
        pytest.param(lambda: b"\xff" * 1000, "is no TensorFlow graph", id="noise"),
        pytest.param(lambda: small().SerializeToString()[:-40], "is no TensorFlow graph|cut off", id="cut off"),
        pytest.param(
            lambda: small().SerializeToString()[:300], "is no TensorFlow graph|cut off", id="nearly all cut off"
        ),
        pytest.param(
            lambda: constant_of([300, 1000000]), r"unfold to 1,200 MB", id="a small file with a large constant"
        ),
        pytest.param(lambda: constant_of([2**40, 2**40]), "unfold to", id="a constant beyond all counting"),
        pytest.param(lambda: constant_of([-1]), "has no size", id="a constant of a negative size"),
        pytest.param(nodes_without_end, "more than 50,000 nodes", id="nodes without end"),
        pytest.param(calls_itself, "call themselves without end", id="a function that calls itself"),
        pytest.param(hides_behind_a_function, "a function of its own 'WriteFile'", id="a function with another's name"),
        pytest.param(twice_the_same_name, "the same name", id="a name twice"),
    ],
)
def test_a_file_that_is_no_graph_or_a_monstrous_one_is_refused(tmp_path, data, sentence):
    path = tmp_path / "graph.pb"
    path.write_bytes(data())
    with pytest.raises(graphs.GraphRefused, match=sentence):
        graphs.read(str(path))


def test_every_cut_of_a_graph_is_refused_or_whole_nodes_are_missing(tmp_path):
    whole = small().SerializeToString()
    path = tmp_path / "graph.pb"
    for length in range(1, len(whole), 37):
        path.write_bytes(whole[:length])
        try:
            graph = graphs.read(str(path))
        except graphs.GraphRefused:
            continue
        assert len(graph.node) <= len(small().node)


def test_a_missing_file_a_folder_and_a_file_too_large_are_refused(tmp_path):
    with pytest.raises(graphs.GraphRefused, match="cannot be read: No such file"):
        graphs.read(str(tmp_path / "none.pb"))
    with pytest.raises(graphs.GraphRefused, match="cannot be read: Is a directory"):
        graphs.read(str(tmp_path))
    with open(str(tmp_path / "large.pb"), "wb") as file:
        file.truncate(300 << 20)
    with pytest.raises(graphs.GraphRefused, match="has 315 MB; the lab reads graphs of up to"):
        graphs.read(str(tmp_path / "large.pb"))


def test_a_constant_with_fewer_bytes_than_its_shape_is_refused(tmp_path):
    definition, _ = batch_norm_graph(True)
    for node in definition.node:
        if node.name == "mean":
            node.attr["value"].tensor.tensor_content = b"\0\0\0"
            del node.attr["value"].tensor.float_val[:]
    graph = graphs.read(written(tmp_path, definition))
    with pytest.raises(graphs.GraphRefused, match="damaged at 'norm'"):
        graphs.call(graph, "input", pictures(1), "out")


def inception(graph_input="Mul"):
    """The beginning of Inception v3 of 2015: JPEG, resize, subtract 128, divide by 128, convolve."""
    x = tf.image.decode_jpeg(tf.constant(b"", name="DecodeJpeg/contents"), channels=3)
    x = tf.expand_dims(tf.cast(x, tf.float32), 0)
    x = v1.image.resize_bilinear(x, tf.constant([299, 299], name="ResizeBilinear/size"))
    x = tf.multiply(tf.subtract(x, 128.0), 1 / 128.0, name=graph_input)
    x = tf.nn.conv2d(x, np.ones((3, 3, 3, 2), np.float32), 2, "VALID", name="conv")
    x = v1.placeholder_with_default(tf.reduce_mean(x, [1, 2]), [None, 2], name="input/BottleneckInputPlaceholder")
    tf.nn.softmax(x, name="final_result")


def test_the_courseworks_question_marks_are_mul_299_299(tmp_path):
    said = graphs.facts(written(tmp_path, graph_of(inception)))
    assert (said["input_layer"], said["input_height"], said["input_width"]) == ("Mul", 299, 299)
    assert (said["input_mean"], said["input_std"]) == (128, 128)
    assert (said["output_layer"], said["classes"]) == ("final_result", 2)
    assert "Inception v3" in said["guess"]


def open_size():
    x = v1.placeholder(tf.float32, [None, None, None, 3], name="pictures")
    tf.reduce_mean(x, [1, 2], name="features")


def exported_by_the_lab():
    x = v1.placeholder(tf.float32, [None, 8, 8, 3], name="input")
    x = tf.add(tf.multiply(x, 128.0), 128.0, name="bottleneck_lab/input")
    tf.nn.softmax(tf.reduce_mean(x, [1, 2]), name="final_result")


def no_pictures():
    tf.nn.softmax(tf.constant([[1.0, 2.0]]), name="out")


@pytest.mark.parametrize(
    "build, layer, values, guess",
    [
        (open_size, "pictures", (224, 127.5), "guess.*224 x 224 is a guess"),
        (exported_by_the_lab, "input", (8, 128), "The lab exported"),
        (no_pictures, "", (None, 127.5), "no layer that takes pictures"),
    ],
)
def test_where_the_values_come_from_is_said(tmp_path, build, layer, values, guess):
    said = graphs.facts(written(tmp_path, graph_of(build)))
    assert said["input_layer"] == layer
    assert (said["input_height"], said["input_mean"]) == values
    assert re.search(guess, said["guess"])


def test_facts_count_what_the_file_holds(tmp_path):
    path = written(tmp_path, small())
    said = graphs.facts(path)
    assert said["bytes"] == os.path.getsize(path)
    assert said["nodes"] == sum(said["operations"].values())
    assert said["parameters"] == 3 * 3 * 3 * 4 + 4 * 3
    assert said["inputs"] == [{"name": "input", "dtype": "float32", "shape": [None, 8, 8, 3]}]
    assert said["outputs"] == [{"name": "final_result", "shape": [None, 3]}]


@pytest.fixture(scope="module")
def originals(tmp_path_factory):
    """(frozen, quantized, retrained): MobileNet v1 0.25 128 as published in 2017, and as retrain.py left it."""
    data = os.environ.get("LAB_TEST_DATA")
    if not data:
        pytest.skip("LAB_TEST_DATA names no folder with the larger test data")
    folder = str(tmp_path_factory.mktemp("originals"))
    with tarfile.open(os.path.join(data, "tf1", "mobilenet_v1_0.25_128_frozen.tgz")) as archive:
        for name in ("frozen_graph.pb", "quantized_graph.pb"):
            with open(os.path.join(folder, name), "wb") as file:
                file.write(archive.extractfile("mobilenet_v1_0.25_128/" + name).read())
    retrained = os.path.join(data, "tf1", "plates_mobilenet_0.25_128", "retrained_graph.pb")
    return os.path.join(folder, "frozen_graph.pb"), os.path.join(folder, "quantized_graph.pb"), retrained


def test_the_original_graphs_say_what_retrain_py_knew_of_them(originals):
    for path, classes, output in zip(
        originals, (1001, 1001, 5), ("MobilenetV1/Predictions/Reshape_1",) * 2 + ("final_result",)
    ):
        said = graphs.facts(path)
        assert (said["input_layer"], said["input_height"], said["input_width"]) == ("input", 128, 128)
        assert (said["input_mean"], said["input_std"]) == (127.5, 127.5)
        assert (said["classes"], said["output_layer"]) == (classes, output)
        assert 460000 < said["parameters"] < 490000  # the paper: 0.5 million


def test_the_original_graphs_answer_as_in_a_session_of_tf1(originals):
    for path, layer in zip(originals, ["MobilenetV1/Predictions/Reshape"] * 2 + ["final_result"]):
        graph = graphs.read(path)
        ours = graphs.call(graph, "input", pictures(1, 128), layer).numpy()
        with tf.Graph().as_default(), v1.Session() as session:
            tf.graph_util.import_graph_def(graph, name="")
            theirs = session.run(layer + ":0", {"input:0": pictures(1, 128)})
        np.testing.assert_allclose(ours, theirs, atol=1e-5)
        assert graphs.takes_batches(graph, "input", layer, 128)
