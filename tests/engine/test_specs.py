"""Every spec comes back from its file as it was written, whatever its fields hold."""

from pathlib import Path
from typing import Any, get_args, get_origin

import pytest
from hypothesis import given, settings
from hypothesis import strategies as some

from engine.contract import catalog, kinds, specs
from engine.contract.kinds.batch_classification import BatchClassificationSpec
from engine.contract.kinds.batch_size import BatchSizeSpec
from engine.contract.kinds.fine_tuning import FineTuningSpec
from engine.contract.kinds.imported import ImportedSpec
from engine.contract.kinds.learning_curve import LearningCurveSpec
from engine.contract.kinds.mnist import MnistSpec
from engine.contract.kinds.race import RaceSpec
from engine.contract.run_folder import read_json, write_json

# As they lie in the folders of runs that people keep: the name of the kind, and one field of it that is not usual.
STORED = [
    (RaceSpec, {"kind": "retrain", "learning_rates": [0.25], "flip_left_right": True}),
    (MnistSpec, {"kind": "mnist", "networks": [{"name": "own", "layers": "flatten, dense 10"}], "epochs": 9}),
    (ImportedSpec, {"kind": "imported", "title": "Old", "source": "/a", "lanes": ["x"], "device": ""}),
    (BatchClassificationSpec, {"kind": "classify", "model": "mobilenet_v2", "top": 3}),
    (FineTuningSpec, {"kind": "fine_tune", "blocks": [0, -1], "memory_limit": 900}),
    (BatchSizeSpec, {"kind": "batch_size", "blocks": 3, "largest": 8}),
    (LearningCurveSpec, {"kind": "learning_curve", "sizes": [4, 9], "seeds": 2}),
]
SPECS = [kinds.contract(kind).SPEC for kind in kinds.KINDS]
SINGLE: dict[Any, some.SearchStrategy[Any]] = {
    float: some.floats(allow_nan=False, allow_infinity=False),
    int: some.integers(-(2**63), 2**63),
    str: some.text(),
    bool: some.booleans(),
}


def of_type(kind: Any) -> some.SearchStrategy[Any]:
    if get_origin(kind) is tuple:
        return some.lists(of_type(get_args(kind)[0]), max_size=4).map(tuple)
    return of_record(kind) if kind is catalog.Network else SINGLE[kind]


def of_record(record: Any) -> some.SearchStrategy[Any]:
    return some.builds(record, *[of_type(record.__annotations__[name]) for name in record._fields])


@pytest.mark.parametrize("record", SPECS, ids=lambda record: record.__name__)
@settings(deadline=None, max_examples=12)
@given(data=some.data())
def test_any_spec_comes_back_as_it_was_written(
    record: Any, data: Any, tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = str(tmp_path_factory.mktemp("spec") / "spec.json")
    spec = data.draw(of_record(record))
    specs.write(path, spec)
    read = specs.read(path)
    assert read == spec
    assert type(read) is record
    assert [type(value) for value in read] == [type(value) for value in spec]
    stored = read_json(path)
    assert set(stored) == {"kind", "format", "version", *record._fields}


def test_every_kind_of_spec_is_read_by_the_name_it_has_in_old_folders(tmp_path: Path) -> None:
    assert {record for record, _ in STORED} == set(SPECS)
    path = tmp_path / "spec.json"
    for record, stored in STORED:
        write_json(str(path), stored)
        spec = specs.read(str(path))
        assert type(spec) is record
        assert kinds.of(spec) == stored["kind"]
        for name in set(stored) - {"kind", "networks"}:
            value = stored[name]
            assert getattr(spec, name) == (tuple(value) if isinstance(value, list) else value)
        if "networks" in stored:
            (network,) = spec.networks
            assert (network.name, network.layers) == ("own", "flatten, dense 10")
