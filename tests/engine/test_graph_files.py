"""Graphs looked at and measured by real processes of the worker."""

import json
import sys
from dataclasses import fields
from pathlib import Path

import pytest
from PIL import Image

from engine import worker_programs
from engine.errors import EngineError, GraphError, WorkerStartError
from engine.models import graph_files
from tests.waiting import wait_until


@pytest.fixture(scope="module")
def graph(tmp_path_factory: pytest.TempPathFactory) -> Path:
    import tensorflow as tf

    path = tmp_path_factory.mktemp("graphs") / "colours.pb"
    with tf.Graph().as_default() as graph:
        x = tf.compat.v1.placeholder(tf.float32, [None, 4, 4, 3], name="input")
        tf.nn.softmax(tf.reduce_mean(x, [1, 2]), name="final_result")
    path.write_bytes(graph.as_graph_def().SerializeToString())
    return path


def test_a_graph_says_what_label_image_asks_for(graph):
    said = graph_files.inspect(sys.executable, graph)
    assert (said["input_layer"], said["input_height"], said["output_layer"]) == ("input", 4, "final_result")
    assert (said["classes"], said["bytes"]) == (3, graph.stat().st_size)
    assert said["guess"].endswith(".")


def test_a_file_that_is_no_graph_is_refused_with_a_sentence(tmp_path):
    (tmp_path / "page.pb").write_text("<html></html>")
    with pytest.raises(GraphError, match=r"page\.pb is no TensorFlow graph"):
        graph_files.inspect(sys.executable, tmp_path / "page.pb")
    with pytest.raises(GraphError, match="cannot be read"):
        graph_files.inspect(sys.executable, tmp_path / "none.pb")


def test_a_graph_is_measured_on_photos_and_says_how_far_it_is(graph, tmp_path):
    for colour in ("red", "lime", "blue"):
        Image.new("RGB", (8, 8), colour).save(tmp_path / f"{colour}.png")
    (tmp_path / "labels.txt").write_text("red\ngreen\nblue\n")
    photos = [(tmp_path / "red.png", 0), (tmp_path / "lime.png", 1), (tmp_path / "blue.png", 1), (tmp_path / "no", 2)]
    heard: list[tuple[int, int]] = []
    found = graph_files.evaluate(
        sys.executable, graph, tmp_path / "labels.txt", photos, lambda *done: heard.append(done), input_mean=127.5
    )
    assert found.accuracy == pytest.approx(2 / 3)
    assert found.per_class == [("red", 1, 1), ("green", 1, 2), ("blue", 0, 0)]
    assert [path for path, _ in found.skipped] == [str(tmp_path / "no")]
    assert heard[-1] == (4, 4)


@pytest.fixture
def interpreter(tmp_path: Path):
    """An interpreter whose program is what the test says, at the process seam."""

    def make(code: str) -> str:
        path = tmp_path / "python"
        path.write_text(f"#!{sys.executable}\nimport json, os, subprocess, sys, time\n{code}\n")
        path.chmod(0o755)
        return str(path)

    return make


def test_a_process_that_takes_too_long_is_ended_with_its_children(interpreter, tmp_path):
    python = interpreter(
        f"child = subprocess.Popen(['sleep', '3600']); open({str(tmp_path / 'pid')!r}, 'w').write(str(child.pid))\n"
        "time.sleep(3600)"
    )
    with pytest.raises(EngineError, match="No answer came within 1 seconds"):
        worker_programs.ask(python, "any", [], None, seconds=1)
    pid = int((tmp_path / "pid").read_text())
    wait_until(lambda: not _is_running(pid))


def _is_running(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


@pytest.mark.parametrize(
    ("code", "sentence"),
    [
        ("sys.exit('ValueError: the end')", "stopped without an answer .ValueError: the end."),
        ("print('[1, 2]')", "stopped without an answer"),
        ("print('no JSON')", "stopped without an answer"),
        ("os.kill(os.getpid(), 9)", "the memory ran out"),
    ],
)
def test_a_process_that_dies_is_no_riddle(interpreter, code, sentence):
    with pytest.raises(EngineError, match=sentence):
        worker_programs.ask(interpreter(code), "any", [], None, seconds=20)


def test_a_question_of_many_photos_and_much_complaint_blocks_nobody(interpreter):
    python = interpreter(
        "for _ in range(20000): print('x' * 50, file=sys.stderr)\n"
        "print('noise'); print(json.dumps({'got': len(json.load(sys.stdin)['photos'])}))"
    )
    photos = ["/somewhere/a/photo/with/a/long/name.jpg"] * 20000
    assert worker_programs.ask(python, "any", [], {"photos": photos}, seconds=60) == {"got": 20000}


def test_an_interpreter_that_is_not_there_is_named(tmp_path):
    with pytest.raises(WorkerStartError, match="Cannot run WORKER_PYTHON=/no/such/python"):
        graph_files.inspect("/no/such/python", tmp_path / "graph.pb")


def test_an_answer_that_is_an_error_is_raised_as_what_the_caller_names(interpreter):
    python = interpreter("""print('{"error": "The graph is empty."}')""")
    with pytest.raises(GraphError, match=r"^The graph is empty\.$"):
        worker_programs.ask(python, "any", [], None, seconds=60, refused=GraphError)
    assert worker_programs.ask(python, "any", [], None, seconds=60) == {"error": "The graph is empty."}


def test_fields_of_a_newer_worker_are_ignored(interpreter):
    told = dict.fromkeys(field.name for field in fields(graph_files.Evaluation)) | {"skipped": [], "per_class": []}
    answer = json.dumps(told | {"shade": "new"})
    python = interpreter(f"print({answer!r})")
    assert graph_files.evaluate(python, "graph.pb", ["a"], []) == graph_files.Evaluation(**told)
