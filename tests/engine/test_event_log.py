"""The event log, which must be read for ever: every kind by its wire name and fields, and however it was cut."""

import json
import os
import random
from pathlib import Path
from typing import Any, get_args, get_origin

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as some

from engine.contract import events
from engine.contract.kinds.batch_classification import BatchClassificationResult, Classified, ModelLoaded
from engine.contract.kinds.batch_size import BatchSizeResult, BatchTried
from engine.contract.kinds.fine_tuning import FineTuned, FineTuningResult
from engine.contract.kinds.learning_curve import LearningCurvePoint, LearningCurveResult
from engine.contract.kinds.mnist import MnistResult, NetworkExported, NetworkResult
from engine.contract.kinds.race import LaneResult, RaceResult

# A line of every kind as it lies in the folders of runs that people keep. A line that stands here is never changed:
# where a kind gets a field, it gets a further line below.
STORED = [
    (events.State, '{"kind":"state","t":1.5,"state":"queued","ticket":3}'),
    (events.Stage, '{"kind":"stage","t":2.0,"name":"Bottlenecks","total":600}'),
    (events.Progress, '{"kind":"progress","t":2.5,"done":32}'),
    (
        events.Metric,
        '{"kind":"metric","t":3.0,"lane":"0.5","split":"validation","step":[10,20],"seconds":[0.1,0.2],'
        '"accuracy":[0.9,0.95],"cross_entropy":[0.3,null]}',
    ),
    (
        events.Hardware,
        '{"kind":"hardware","t":3.1,"name":"Jetson TX2","processor":"ARMv8","cores":6,"memory_bytes":8000000000,'
        '"gpu":"","power_mode":"MAXN"}',
    ),
    (events.Skipped, '{"kind":"skipped","t":3.5,"file":"röd/ä.jpg","why":"the file is empty"}'),
    (events.Warning, '{"kind":"warning","t":3.6,"message":"Line one\\nline two"}'),
    (events.Diverged, '{"kind":"diverged","t":4.0,"lane":"10.0","step":20,"why":"It left the numbers."}'),
    (
        LaneResult,
        '{"kind":"lane_result","t":5.0,"lane":"0.5","test_accuracy":0.9,"test_n":40,"final_validation_accuracy":0.91,'
        '"final_validation_cross_entropy":null,"best_validation_accuracy":0.95,"best_step":20,"diverged":false}',
    ),
    (events.Kept, '{"kind":"kept","t":5.1,"lane":"0.5"}'),
    (
        events.Exported,
        '{"kind":"exported","t":5.2,"file":"model.tflite","bytes":9000000,"accuracy":0.97,"photos":64,'
        '"difference":1e-07,"seconds":0.021}',
    ),
    (
        RaceResult,
        '{"kind":"result","t":5.5,"kept":"0.5","images":60,"training":40,"validation":11,"testing":9,"cached":7,'
        '"computed":53,"decode_seconds":0.2,"backbone_seconds":0.8,"race_seconds":1.2,"export_difference":2e-07,'
        '"export_photos":8,"runtime":"LiteRT","peak_memory_bytes":1000000000,"cache_seconds":0.1,"import_seconds":4.5}',
    ),
    (
        events.Predicted,
        '{"kind":"predicted","t":5.6,"seconds":12.5,"photos":480,"measured":24,"disk_bytes":3000000,'
        '"memory_bytes":900000000,"training_seconds":30.5}',
    ),
    (events.Expected, '{"kind":"expected","t":5.7,"seconds":110.0,"rests_on":"a batch of each depth"}'),
    (
        events.LaneStarted,
        '{"kind":"lane_started","t":6.1,"lane":"beginner","training":60000,"validation":5000,"batch_size":32,'
        '"steps_an_epoch":1875,"steps":9375}',
    ),
    (events.LaneEnded, '{"kind":"lane_ended","t":6.2,"lane":"beginner","stopped":true}'),
    (events.BatchHalved, '{"kind":"batch_halved","t":6.3,"lane":"strong","batch_size":64}'),
    (
        NetworkResult,
        '{"kind":"network_result","t":6.4,"lane":"beginner","parameters":101770,"multiply_adds":101632,"epochs":2.5,'
        '"train_seconds":6.1,"images_per_second":49000.0,"test_accuracy":0.978,"test_n":10000,'
        '"validation_accuracy":null,"best_epoch":2,"stopped":true}',
    ),
    (
        NetworkExported,
        '{"kind":"network_exported","t":6.5,"lane":"beginner","difference":3e-07,"images":64,"image_seconds":7e-06}',
    ),
    (
        MnistResult,
        '{"kind":"mnist_result","t":6.6,"runtime":"TensorFlow on the CPU","peak_memory_bytes":2000000000}',
    ),
    (
        ModelLoaded,
        '{"kind":"model_loaded","t":6.7,"runtime":"LiteRT","device":"CPU","input_height":224,"input_width":160,'
        '"load_seconds":0.3}',
    ),
    (
        Classified,
        '{"kind":"classified","t":6.8,"photo":[0,2],"label":[1,0,0,1],"score":[0.9,0.1,0.6,0.4],"learned":[true,false]}',
    ),
    (
        BatchClassificationResult,
        '{"kind":"classify_result","t":6.9,"photos":2,"decode_seconds":0.1,"network_seconds":0.02,'
        '"photo_seconds":0.009,"peak_memory_bytes":100000000}',
    ),
    (
        FineTuned,
        '{"kind":"fine_tuned","t":7.1,"lane":"last_2","blocks":2,"of_blocks":18,"parameters":731000,'
        '"peak_memory_bytes":1200000000,"epoch_seconds":8.5,"epochs":5,"batch_size":32,"at_once":16,'
        '"features_kept":true,"validation_accuracy":0.88,"validation_cross_entropy":0.41,"validation_n":60,'
        '"test_accuracy":0.86,"test_n":120}',
    ),
    (
        FineTuningResult,
        '{"kind":"fine_tune_result","t":7.2,"training":420,"validation":61,"testing":119,"runtime":"TensorFlow 2.21"}',
    ),
    (
        BatchTried,
        '{"kind":"batch_tried","t":7.3,"batch_size":64,"fits":false,"why":"The memory ran out.","peak_memory_bytes":5,'
        '"images_per_second":41.5}',
    ),
    (
        BatchSizeResult,
        '{"kind":"batch_size_result","t":7.4,"largest":32,"bounded":true,"memory_limit_bytes":2000000000,'
        '"model_bytes":700000000,"parameters":2230000,"runtime":"TensorFlow 2.21"}',
    ),
    (
        LearningCurvePoint,
        '{"kind":"learning_curve_point","t":7.5,"size":20,"seed":3,"photos":100,"correct":95,"test_n":120,'
        '"diverged":false,"seconds":0.8}',
    ),
    (
        LearningCurveResult,
        '{"kind":"learning_curve_result","t":7.6,"training":420,"validation":60,"testing":120,"cached":590,'
        '"computed":10,"runtime":"LiteRT","peak_memory_bytes":800000000}',
    ),
    (events.Error, '{"kind":"error","t":8.0,"code":"disk_full","message":"No space.","hint":"Make room."}'),
    # Before the cache and the import were timed, and before the training of distorted photos was foreseen.
    (
        RaceResult,
        '{"kind":"result","t":5.5,"kept":"0.5","images":60,"training":40,"validation":11,"testing":9,"cached":7,'
        '"computed":53,"decode_seconds":0.2,"backbone_seconds":0.8,"race_seconds":1.2,"export_difference":2e-07,'
        '"export_photos":8,"runtime":"LiteRT","peak_memory_bytes":1000000000}',
    ),
    (
        events.Predicted,
        '{"kind":"predicted","t":5.6,"seconds":12.5,"photos":480,"measured":24,"disk_bytes":3000000,'
        '"memory_bytes":900000000}',
    ),
]
KINDS = list(events.records().values())


def test_every_kind_of_event_has_its_stored_line() -> None:
    assert {record for record, _ in STORED} == set(KINDS)
    assert len(KINDS) == 30
    for record in KINDS:
        stored = [set(json.loads(line)) - {"kind"} for kind, line in STORED if kind is record]
        assert set.union(*stored) == set(record._fields), f"a field of {record.__name__} is in none of its lines"


def test_every_stored_line_is_read_and_written_with_the_names_it_has(tmp_path: Path) -> None:
    path, again = tmp_path / "events.jsonl", tmp_path / "again.jsonl"
    path.write_text("".join(f"{line}\n" for _, line in STORED), encoding="utf-8")
    read = events.Reader(str(path)).read()
    assert len(read) == len(STORED)
    events.append(str(again), *read)
    for (record, line), event, written in zip(
        STORED, read, again.read_text(encoding="utf-8").splitlines(), strict=True
    ):
        stored, told = json.loads(line), json.loads(written)
        assert type(event) is record
        assert {name: getattr(event, name) for name in stored if name != "kind"} == {
            name: value for name, value in stored.items() if name != "kind"
        }
        assert {name: told[name] for name in stored} == stored


def test_a_line_is_as_short_as_it_can_be_and_readable_and_nobody_else_may_write_it(tmp_path: Path) -> None:
    path, mask = tmp_path / "events.jsonl", os.umask(0)
    try:
        events.append(str(path), events.Warning(1.5, "ä"), events.Progress(2.0, 7))
    finally:
        os.umask(mask)
    said = '{"kind":"warning","t":1.5,"message":"ä"}\n{"kind":"progress","t":2.0,"done":7}\n'
    assert path.read_bytes() == said.encode()
    assert path.stat().st_mode & 0o777 == 0o644


def test_what_an_old_line_lacks_is_read_as_unknown(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    path.write_text("".join(f"{line}\n" for _, line in STORED[-2:]))
    result, predicted = events.Reader(str(path)).read()
    assert (result.cache_seconds, result.import_seconds, predicted.training_seconds) == (None, None, 0.0)


# --- properties ------------------------------------------------------------------------------------------------------

WHOLE = some.integers(-(2**63), 2**63)
SINGLE: dict[Any, some.SearchStrategy[Any]] = {
    float: some.floats(allow_nan=False, allow_infinity=False),
    int: WHOLE,
    str: some.text(),
    bool: some.booleans(),
}


def of_type(kind: Any) -> some.SearchStrategy[Any]:
    """Any value of a field's type."""
    if get_origin(kind) is list:
        return some.lists(of_type(get_args(kind)[0]), max_size=4)
    if type(None) in get_args(kind):
        return some.none() | of_type(get_args(kind)[0])
    return SINGLE[kind]


def of_kind(record: Any) -> some.SearchStrategy[Any]:
    types = record.__annotations__
    return some.builds(record, *[of_type(types[name]) for name in record._fields])


ANY_EVENT = some.one_of([of_kind(record) for record in KINDS])


@pytest.mark.parametrize("record", KINDS, ids=lambda record: record.__name__)
@settings(deadline=None, max_examples=8)
@given(data=some.data())
def test_any_event_of_a_kind_comes_back_as_it_was_written(
    record: Any, data: Any, tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = str(tmp_path_factory.mktemp("log") / "events.jsonl")
    written = data.draw(some.lists(of_kind(record), min_size=1, max_size=3))
    events.append(path, *written)
    read = events.Reader(path).read()
    assert read == written
    assert [type(event) for event in read] == [record] * len(written)
    assert [[type(value) for value in event] for event in read] == [[type(value) for value in w] for w in written]


GARBAGE = some.one_of(
    some.binary(max_size=40).map(lambda line: line.replace(b"\n", b"")),
    some.sampled_from(
        [
            b'{"kind":"state","t":1.0}',
            b'{"kind":"state","t":1.0,"state":"que',
            b'{"kind":"moonshine","t":1.0}',
            b'{"kind":[],"t":1.0}',
            b'{"kind":null}',
            b'["state"]',
            b"null",
            b"\x00" * 50,
            b'{"kind":"progress","t":1.0,"done":1}x',
        ]
    ),
)


@settings(deadline=None, max_examples=60)
@given(
    lines=some.lists(ANY_EVENT | GARBAGE, max_size=8),
    torn=some.binary(max_size=30).map(lambda part: part.replace(b"\n", b"")),
    seed=some.integers(0, 2**32),
    cuts=some.integers(0, 12),
)
@example(lines=[events.Warning(1.0, "ä\u2028\x85\r\n")], torn=b"", seed=1, cuts=12)
def test_a_log_gives_the_same_events_however_its_growth_is_cut_into_reads(
    lines: list[Any], torn: bytes, seed: int, cuts: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("log")
    single, path = folder / "single.jsonl", folder / "events.jsonl"
    whole, ends = b"", []  # ends: up to which byte each event reaches
    for line in lines:
        if isinstance(line, bytes):
            whole += line + b"\n"
        else:
            single.unlink(missing_ok=True)
            events.append(str(single), line)
            whole += single.read_bytes()
            ends.append((len(whole), line))
    at = sorted(random.Random(seed).sample(range(len(whole) + 1), min(cuts, len(whole))))
    reader, read = events.Reader(str(path)), []
    for start, end in zip([0, *at], [*at, len(whole)], strict=True):
        with path.open("ab") as file:
            file.write(whole[start:end])
        read += reader.read()
        assert read == [event for last, event in ends if last <= end]  # all that is whole, and nothing that is torn
        assert reader.read() == []
    with path.open("ab") as file:
        file.write(torn)
    assert reader.read() == []
    assert events.Reader(str(path)).read() == read
    with path.open("ab") as file:
        file.write(b"\n")
    events.append(str(path), events.Progress(9.0, 7))
    assert reader.read() == [events.Progress(9.0, 7)]
