"""Which SavedModels may be loaded. Nothing here is loaded."""

import os
import shutil

import pytest
from tensorflow.core.protobuf import saved_model_pb2

from engine.worker.formats import saved_models
from engine.worker.formats.graphs import GraphRefused
from tests.worker import hub_modules


@pytest.fixture(scope="module")
def features(tmp_path_factory):
    return hub_modules.save(hub_modules.Features(), tmp_path_factory.mktemp("tf2"))


@pytest.fixture(scope="module")
def of_tf1(tmp_path_factory):
    return hub_modules.save_tf1(tmp_path_factory.mktemp("tf1") / "module")


def changed(folder, tmp_path, change):
    """A copy of a SavedModel whose graph was changed by hand."""
    copy = str(tmp_path / "copy")
    shutil.copytree(folder, copy)
    path = os.path.join(copy, "saved_model.pb")
    saved_model = saved_model_pb2.SavedModel()
    with open(path, "rb") as file:
        saved_model.ParseFromString(file.read())
    change(saved_model)
    with open(path, "wb") as file:
        file.write(saved_model.SerializeToString())
    return copy


def test_modules_of_both_ages_may_be_loaded_although_they_hold_a_saver(features, of_tf1, tmp_path):
    assert saved_models.check(features) == (["serve"], "serving_default", False)
    assert saved_models.check(of_tf1) == ([], "default", True)
    without = hub_modules.save(hub_modules.Features(), tmp_path / "without", signature="")
    assert saved_models.check(without).signature == saved_models.CALL


def test_what_reads_a_file_when_it_is_called_is_refused(tmp_path):
    spy = hub_modules.save(hub_modules.Spy(), tmp_path / "spy")
    with pytest.raises(GraphRefused, match="spy uses ReadFile and StringLength, which can read or write files"):
        saved_models.check(spy)
    spy = hub_modules.save(hub_modules.Spy(), tmp_path / "spy2", signature="")
    with pytest.raises(GraphRefused, match="ReadFile"):
        saved_models.check(spy)


def test_what_writes_a_file_while_it_is_loaded_is_refused(tmp_path):
    with pytest.raises(GraphRefused, match="WriteFile"):
        saved_models.check(hub_modules.save(hub_modules.Planter(str(tmp_path / "planted")), tmp_path / "tf2"))
    with pytest.raises(GraphRefused, match="WriteFile"):
        saved_models.check(hub_modules.save_tf1(tmp_path / "tf1", writes_a_file=True))
    assert not (tmp_path / "planted").exists()


def signature_of_a_spy(saved_model):
    """The signature that people see is harmless; the object that TensorFlow calls is another one."""
    library = saved_model.meta_graphs[0].graph_def.library
    objects = saved_model.meta_graphs[0].object_graph_def
    for node in objects.nodes:
        if (
            node.HasField("bare_concrete_function")
            and "signature" in node.bare_concrete_function.concrete_function_name
        ):
            spy = library.function.add()
            spy.signature.name = "spy"
            spy.node_def.add(name="read", op="ReadFile", input=["path"])
            node.bare_concrete_function.concrete_function_name = "spy"
            return
    raise AssertionError("no signature was found")


def test_the_function_that_tensorflow_will_call_is_checked_and_not_its_description(features, tmp_path):
    with pytest.raises(GraphRefused, match="ReadFile"):
        saved_models.check(changed(features, tmp_path, signature_of_a_spy))


def restores_by_saving(saved_model):
    meta_graph = saved_model.meta_graphs[0]
    meta_graph.saver_def.restore_op_name = meta_graph.saver_def.save_tensor_name.split(":")[0]


def restores_from_elsewhere(saved_model):
    """Loads another checkpoint of the machine into the module's variables, to be carried away in its answers."""
    graph = saved_model.meta_graphs[0].graph_def
    (restore,) = [node for node in graph.node if node.op == "RestoreV2"]
    stolen = graph.node.add(name="elsewhere", op="Const")
    stolen.attr["dtype"].type = 7
    stolen.attr["value"].tensor.dtype = 7
    stolen.attr["value"].tensor.tensor_shape.SetInParent()
    stolen.attr["value"].tensor.string_val.append(b"/home/somebody/checkpoint")
    restore.input[0] = "elsewhere"


def starts_by_saving(saved_model):
    meta_graph = saved_model.meta_graphs[0]
    meta_graph.collection_def["legacy_init_op"].node_list.value.append(meta_graph.saver_def.save_tensor_name)


def answers_with_a_file(saved_model):
    meta_graph = saved_model.meta_graphs[0]
    meta_graph.signature_def["default"].outputs["default"].name = meta_graph.saver_def.save_tensor_name


@pytest.mark.parametrize("change", [restores_by_saving, restores_from_elsewhere, starts_by_saving, answers_with_a_file])
def test_a_saver_that_is_more_than_a_dead_end_is_refused(of_tf1, tmp_path, change):
    with pytest.raises(GraphRefused, match="reads or writes files at"):
        saved_models.check(changed(of_tf1, tmp_path, change))


def asks_for_a_file(saved_model):
    saved_model.meta_graphs[0].asset_file_def.add(filename="../../../etc/passwd")


def loses_its_graphs(saved_model):
    del saved_model.meta_graphs[:]


def is_for_training(saved_model):
    saved_model.meta_graphs.add().CopyFrom(saved_model.meta_graphs[0])
    for meta_graph in saved_model.meta_graphs:
        meta_graph.meta_info_def.tags[:] = ["train"]


def offers_nothing_to_call(saved_model):
    saved_model.meta_graphs[0].signature_def["tokens"].CopyFrom(
        saved_model.meta_graphs[0].signature_def["serving_default"]
    )
    del saved_model.meta_graphs[0].signature_def["serving_default"]
    saved_model.meta_graphs[0].signature_def["words"].method_name = "words"


def loses_its_objects(saved_model):
    del saved_model.meta_graphs[0].object_graph_def.nodes[1:]


@pytest.mark.parametrize(
    "change, sentence",
    [
        (asks_for_a_file, "a file outside of itself, '../../../etc/passwd'"),
        (loses_its_graphs, "has no graphs"),
        (is_for_training, "none of them for answering"),
        (offers_nothing_to_call, "offers tokens, words; the lab calls default or"),
        (loses_its_objects, "leads nowhere"),
    ],
)
def test_a_damaged_or_foreign_one_is_refused(features, tmp_path, change, sentence):
    with pytest.raises(GraphRefused, match=sentence):
        saved_models.check(changed(features, tmp_path, change))


def a_link(folder):
    os.symlink("/etc/hostname", os.path.join(folder, "variables", "more"))


def a_second_spelling(folder):
    open(os.path.join(folder, "saved_model.cpb"), "w").close()


def too_much(folder):
    with open(os.path.join(folder, "filler"), "wb") as file:
        file.truncate(600 << 20)


def no_graph(folder):
    os.remove(os.path.join(folder, "saved_model.pb"))


def noise(folder):
    with open(os.path.join(folder, "saved_model.pb"), "wb") as file:
        file.write(b"\xff" * 100)


@pytest.mark.parametrize(
    "spoil, sentence",
    [
        (a_link, "contains a link, more"),
        (a_second_spelling, "contains saved_model.cpb"),
        (too_much, "has more than"),
        (no_graph, "no file saved_model.pb"),
        (noise, "is damaged"),
    ],
)
def test_a_folder_that_is_no_plain_saved_model_is_refused(features, tmp_path, spoil, sentence):
    copy = str(tmp_path / "copy")
    shutil.copytree(features, copy)
    spoil(copy)
    with pytest.raises(GraphRefused, match=sentence):
        saved_models.check(copy)
