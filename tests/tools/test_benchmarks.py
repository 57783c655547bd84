"""The list of benchmarks: what it names can be started, and what can be started it names."""

import ast
import re
from pathlib import Path

import pytest

from benchmarks import __main__ as listed

FOLDER = Path(listed.__file__).parent
# Those with a run() of their own; the others are shared parts.
STARTABLE = {
    file.stem: node
    for file in FOLDER.glob("*.py")
    for node in ast.parse(file.read_text()).body
    if isinstance(node, ast.FunctionDef) and node.name == "run"
}


def test_every_benchmark_is_listed_in_code_and_words():
    assert set(listed.OF_PHOTOS + listed.OTHERS) == set(STARTABLE)
    words = re.findall(r"^(\w+)  ", listed.__doc__, re.MULTILINE)
    assert sorted(words) == sorted(STARTABLE)


@pytest.mark.parametrize("name", sorted(STARTABLE))
def test_a_benchmark_takes_a_folder_where_the_list_says_that_it_needs_one(name):
    assert len(STARTABLE[name].args.args) == (1 if name in listed.OF_PHOTOS else 0)
