"""TensorFlow Hub modules as backbones of the lab: what is added, and what is not."""

import http.server
import io
import os
import re
import tarfile
import threading

import numpy as np
import pytest

from engine.contract import catalog
from engine.contract.run_folder import LabHome
from engine.worker import hub_module
from engine.worker.formats import graphs
from engine.worker.formats.graphs import GraphRefused
from tests.worker import hub_modules

pytestmark = pytest.mark.filterwarnings("ignore")  # TensorFlow's own, about what it has given up by now


@pytest.fixture
def empty(tmp_path):
    return LabHome(str(tmp_path / "lab"))


@pytest.fixture(scope="module")
def features(tmp_path_factory):
    return hub_modules.save(hub_modules.Features(), tmp_path_factory.mktemp("modules") / "Features-24")


def answers(home, row):
    """What the backbone that was added says of two pictures, in values from 0 to 1, and the pictures."""
    pictures = np.random.RandomState(1).uniform(0, 1, (2, row.size, row.size, 3)).astype(np.float32)
    graph = graphs.read(os.path.join(home.assets, row.weights))
    return graphs.call(graph, row.input_layer, pictures, row.bottleneck_layer).numpy(), pictures


def test_a_module_of_tf2_is_a_backbone_like_any_other(empty, features):
    os.makedirs(empty.assets)
    row = hub_module.add(empty, features)
    assert catalog.added_backbones(empty) == [row]
    assert (row.name, row.size, row.width) == ("hub_features_24", 24, 6)
    assert (row.mean, row.std, row.preprocessing) == ((0, 0, 0), (255, 255, 255), catalog.PILLOW)
    assert row.answer_layer == ""
    ours, pictures = answers(empty, row)
    np.testing.assert_allclose(ours, hub_modules.expected(pictures), atol=1e-5)
    assert hub_module.add(empty, features) == row  # added again, it is made anew
    assert sorted(os.listdir(empty.backbones)) == [".hub", "hub_features_24"]


def test_so_is_one_of_tf1(empty, tmp_path):
    os.makedirs(empty.assets)
    row = hub_module.add(empty, hub_modules.save_tf1(tmp_path / "module"), name="Old one!")
    assert (row.name, row.input_layer) == ("hub_old_one", "images")
    ours, pictures = answers(empty, row)
    np.testing.assert_allclose(ours, hub_modules.expected(pictures), atol=1e-5)


def test_a_size_is_asked_for_where_the_module_leaves_it_open(empty, tmp_path):
    folder = hub_modules.save(hub_modules.Features(size=None), tmp_path / "open")
    with pytest.raises(hub_module.NeedsSize, match="Say which one"):
        hub_module.add(empty, folder)
    assert hub_module.add(empty, folder, size=40).size == 40
    with pytest.raises(GraphRefused, match="choose 16 to 1024 pixels"):
        hub_module.add(empty, folder, size=100000)


def test_a_classifier_says_so_and_answers_where_it_gives_probabilities(empty, tmp_path):
    row = hub_module.add(empty, hub_modules.save(hub_modules.Classes(), tmp_path / "classes", output="logits"))
    assert row.answer_layer == row.bottleneck_layer
    assert "6 class outputs" in row.source


def test_one_without_signatures_is_called_as_its_object_says(empty, tmp_path):
    row = hub_module.add(empty, hub_modules.save(hub_modules.Features(), tmp_path / "plain", signature=""))
    assert (row.size, row.width) == (24, 6)


def packed(tmp_path, members, name="module.tar.gz"):
    """A .tar.gz of (name, bytes, type)."""
    path = str(tmp_path / name)
    with tarfile.open(path, "w:gz") as archive:
        for member, data, kind in members:
            info = tarfile.TarInfo(member)
            info.size, info.type, info.linkname = len(data), kind, "/etc/hostname"
            archive.addfile(info, io.BytesIO(data))
    return path


def files_of(folder, prefix):
    for parent, _, names in os.walk(folder):
        yield prefix + os.path.relpath(parent, folder), b"", tarfile.DIRTYPE
        for name in names:
            path = os.path.join(parent, name)
            with open(path, "rb") as file:
                yield prefix + os.path.relpath(path, folder), file.read(), tarfile.REGTYPE


@pytest.mark.parametrize("prefix", ["./", "features/"])
def test_a_packed_module_is_unpacked_first(empty, tmp_path, features, prefix):
    row = hub_module.add(empty, packed(tmp_path, files_of(features, prefix)))
    assert (row.name, row.width) == ("hub_module", 6)
    assert row.source.startswith("The module module.tar.gz;")  # this machine's folders are nobody's business


HOSTILE = [
    pytest.param([("../escaped", b"x", tarfile.REGTYPE)], "leads out of it, '../escaped'", id="upwards"),
    pytest.param([("a/../../escaped", b"x", tarfile.REGTYPE)], "leads out of it", id="upwards later"),
    pytest.param([("/tmp/escaped", b"x", tarfile.REGTYPE)], "leads out of it", id="absolute"),
    pytest.param([("a", b"", tarfile.SYMTYPE)], "a link or a device, 'a'", id="a link"),
    pytest.param([("a", b"", tarfile.LNKTYPE)], "a link or a device", id="a hard link"),
    pytest.param([("a", b"", tarfile.FIFOTYPE)], "a link or a device", id="a pipe"),
    pytest.param([(f"a{i}", b"", tarfile.REGTYPE) for i in range(1001)], "more than 1,000 files", id="many files"),
    pytest.param(
        [("a", b"x", tarfile.REGTYPE), ("a/b", b"x", tarfile.REGTYPE)], "cannot be unpacked", id="a file in a file"
    ),
    pytest.param([("readme", b"x", tarfile.REGTYPE)], "no file saved_model.pb", id="no module"),
    pytest.param([], "no file saved_model.pb", id="nothing"),
]


@pytest.mark.parametrize("members, sentence", HOSTILE)
def test_a_hostile_archive_is_refused_and_leaves_nothing(empty, tmp_path, members, sentence):
    with pytest.raises(GraphRefused, match=sentence):
        hub_module.add(empty, packed(tmp_path, members))
    assert os.listdir(empty.backbones) == [".hub"]
    assert not (tmp_path / "escaped").exists()


class Site:
    """A module's site on this machine; `asked` counts what it was asked for."""

    def __init__(self, archive):
        with open(archive, "rb") as file:
            self.archive = file.read()
        self.asked = []
        site = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                site.asked.append(self.path)
                self.send_response(200)
                self.end_headers()
                self.wfile.write(site.archive)

            def log_message(self, *args):
                pass

        self.server = http.server.HTTPServer(("127.0.0.1", 0), Handler)
        self.handle = f"http://127.0.0.1:{self.server.server_port}/google/features/1"
        self.thread = threading.Thread(target=self.server.serve_forever)

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *error):
        self.server.shutdown()
        self.thread.join()
        self.server.server_close()


def test_an_address_is_fetched_once_and_kept(empty, tmp_path, features):
    with Site(packed(tmp_path, files_of(features, "./"))) as site:
        row = hub_module.add(empty, site.handle)
        assert hub_module.add(empty, site.handle, name="again").name == "hub_again"
        assert site.asked == ["/google/features/1?tf-hub-format=compressed"]
    assert (row.name, row.width) == ("hub_google_features_1", 6)
    assert site.handle in row.source


@pytest.mark.parametrize(
    "members, sentence",
    [
        ([("../escaped", b"x", tarfile.REGTYPE)], "cannot be fetched from"),
        ([("a", b"", tarfile.SYMTYPE)], "cannot be fetched from"),
        ([("readme", b"x", tarfile.REGTYPE)], "no file saved_model.pb"),
    ],
)
def test_an_address_with_something_else_is_refused_and_fetched_anew_the_next_time(
    empty, tmp_path, features, members, sentence
):
    with Site(packed(tmp_path, members)) as site:
        with pytest.raises(GraphRefused, match=sentence):
            hub_module.add(empty, site.handle)
        assert not [
            each for each in os.listdir(os.path.join(empty.backbones, ".hub")) if each.endswith((".lock", ".tmp"))
        ]
        with open(packed(tmp_path, files_of(features, "./")), "rb") as file:
            site.archive = file.read()
        assert hub_module.add(empty, site.handle).width == 6


def test_a_damaged_archive_is_refused(empty, tmp_path, features):
    path = packed(tmp_path, files_of(features, ""))
    with open(path, "r+b") as file:
        file.truncate(os.path.getsize(path) // 2)
    with pytest.raises(GraphRefused, match="cannot be unpacked"):
        hub_module.add(empty, path)


def test_a_module_that_reads_files_is_refused_and_leaves_nothing(empty, tmp_path):
    with pytest.raises(GraphRefused, match="ReadFile"):
        hub_module.add(empty, hub_modules.save(hub_modules.Spy(), tmp_path / "spy"))
    assert os.listdir(empty.backbones) == [".hub"]


def test_a_module_whose_variables_are_cut_off_is_refused(empty, tmp_path):
    folder = hub_modules.save(hub_modules.Features(), tmp_path / "cut")
    with open(os.path.join(folder, "variables", "variables.data-00000-of-00001"), "r+b") as file:
        file.truncate(40)
    with pytest.raises(GraphRefused, match="cannot be loaded"):
        hub_module.add(empty, folder)


@pytest.mark.parametrize(
    "handle, sentence",
    [
        ("/no/such/module", "is no module. Give an address"),
        ("", "gives no name"),
        ("gs://bucket/module", "is no module"),
        ("https://localhost:9/google/features/1", "cannot be fetched from https://localhost:9/google/features/1"),
    ],
)
def test_a_handle_that_leads_nowhere_is_refused(empty, handle, sentence):
    with pytest.raises(GraphRefused, match=sentence):
        hub_module.add(empty, handle)


def test_another_module_of_the_same_name_is_not_overwritten(empty, tmp_path, features):
    row = hub_module.add(empty, features, name="mine")
    with pytest.raises(GraphRefused, match="another name"):
        hub_module.add(empty, hub_modules.save(hub_modules.Features(32), tmp_path / "other"), name="mine")
    assert catalog.added_backbones(empty) == [row]


def test_what_a_killed_process_left_is_taken_away(empty, features):
    os.makedirs(os.path.join(empty.backbones, ".part-1", "backbone"))
    os.makedirs(os.path.join(empty.backbones, ".hub", "abc.1.tmp"))
    open(os.path.join(empty.backbones, ".hub", "abc.lock"), "w").close()
    hub_module.add(empty, features)
    assert sorted(os.listdir(empty.backbones)) == [".hub", "hub_features_24"]
    assert os.listdir(os.path.join(empty.backbones, ".hub")) == ["lock"]


@pytest.mark.parametrize(
    "handle, name",
    [
        (
            "https://tfhub.dev/google/imagenet/mobilenet_v2_100_224/feature_vector/4",
            "hub_google_imagenet_mobilenet_v2_100_224_feature_vector_4",
        ),
        ("https://storage.example.com/modules/Näh.tar.gz?tf-hub-format=compressed", "hub_modules_n_h"),
        ("hub_mine", "hub_mine"),
        ("x" * 200, "hub_" + "x" * 60),
    ],
)
def test_names_are_made_from_handles(handle, name):
    assert hub_module.name_for(handle) == name
    assert re.match(catalog.ADDED_NAME, name)
