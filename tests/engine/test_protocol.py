"""What the dashboard and the classifier say to each other, from record to line and back."""

import json
import sys
from collections.abc import Callable, Iterator
from dataclasses import fields
from pathlib import Path
from typing import Any, get_args, get_origin

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as some

from engine.contract import protocol
from engine.contract.run_folder import LabHome
from engine.errors import ClassifierError
from engine.models.classifier import Answer, Classifier

RECORDS = [*protocol.REQUESTS.values(), *protocol.ANSWERS.values()]
SINGLE: dict[Any, some.SearchStrategy[Any]] = {
    float: some.floats(allow_nan=False, allow_infinity=False),
    int: some.integers(-(2**63), 2**63),
    str: some.text(),
    bool: some.booleans(),
    bytes: some.binary(max_size=20),
}


def of_type(kind: Any) -> some.SearchStrategy[Any]:
    """Any value of a field's type."""
    if hasattr(kind, "_fields"):
        return of_kind(kind)
    if get_origin(kind) is list:
        return some.lists(of_type(get_args(kind)[0]), max_size=3)
    if get_origin(kind) is tuple:
        return some.lists(of_type(get_args(kind)[0]), max_size=3).map(tuple)
    if type(None) in get_args(kind):
        return some.none() | of_type(get_args(kind)[0])
    return SINGLE[kind]


def of_kind(record: Any) -> some.SearchStrategy[Any]:
    return some.builds(record, *[of_type(record.__annotations__[name]) for name in record._fields])


def types(value: Any) -> Any:
    """The types of a record's values, records in it included."""
    if isinstance(value, list | tuple):
        return type(value), [types(each) for each in value]
    return type(value)


@pytest.mark.parametrize("record", RECORDS, ids=lambda record: record.__name__)
@settings(deadline=None, max_examples=20)
@given(data=some.data())
def test_every_message_comes_back_as_it_was_sent_in_one_line(record: Any, data: Any) -> None:
    sent = data.draw(of_kind(record))
    line = protocol.encode(sent)
    assert "\n" not in line
    table = protocol.REQUESTS if record in protocol.REQUESTS.values() else protocol.ANSWERS
    received = protocol.decode(line, table)
    assert received == sent
    assert types(received) == types(sent)


def test_every_record_of_the_unions_has_a_kind_of_its_own() -> None:
    assert set(protocol.REQUESTS.values()) == set(get_args(protocol.Request))
    assert set(protocol.ANSWERS.values()) == set(get_args(protocol.Answer))
    assert not set(protocol.REQUESTS) & set(protocol.ANSWERS)
    assert not [record for record in RECORDS if "kind" in record._fields]


def test_an_answer_has_every_field_of_its_record() -> None:
    of_the_dashboard = {"note", "was_restarted"}
    assert {field.name for field in fields(Answer)} - of_the_dashboard == set(protocol.Classified._fields)


CLASSIFIED = protocol.Classified([protocol.Scored("red", 0.7)], "LiteRT", "CPU", 1, 2, 3, 4, 5, 6, 7, b"png")


def changed(message: Any, **values: Any) -> str:
    return json.dumps({**json.loads(protocol.encode(message)), **values})


def test_fields_of_a_newer_classifier_are_ignored_and_those_of_an_older_one_have_defaults() -> None:
    newer = changed(CLASSIFIED, top=[{"label": "red", "score": 0.7, "rank": 1}], shade="new", more={"a": [1]})
    assert protocol.decode(newer, protocol.ANSWERS) == CLASSIFIED
    older = json.loads(protocol.encode(CLASSIFIED))
    del older["repeat_seconds"], older["found"]
    assert protocol.decode(json.dumps(older), protocol.ANSWERS) == CLASSIFIED


MALFORMED = [
    pytest.param("", "is no JSON", id="nothing"),
    pytest.param("Segmentation fault", "is no JSON", id="words"),
    pytest.param("[" * 100_000, "is no JSON", id="too deep"),
    pytest.param('["classified"]', "is no JSON object", id="a list"),
    pytest.param("{}", "no message of kind None", id="no kind"),
    pytest.param('{"kind": []}', r"no message of kind \[\]", id="a kind that is no name"),
    pytest.param('{"kind": "classify"}', "no message of kind 'classify'", id="a request"),
    pytest.param('{"kind": "classified"}', "'classified' lacks 'top'", id="a field that is missing"),
    pytest.param(changed(CLASSIFIED, top=[["red", 0.7]]), "a 'top' that cannot be", id="a list for a record"),
    pytest.param(changed(CLASSIFIED, top=[{"label": "red"}]), "'classified' has a list", id="half a record in a list"),
    pytest.param(changed(CLASSIFIED, top=None), "a 'top' that cannot be", id="null for a list"),
    pytest.param(changed(CLASSIFIED, repeat_seconds=3), "a 'repeat_seconds' that cannot be", id="a number for a list"),
    pytest.param(changed(CLASSIFIED, width="6"), "a 'width' that cannot be", id="words for a number"),
    pytest.param(changed(CLASSIFIED, seconds=float("nan")), "a 'seconds' that cannot be", id="no number"),
    pytest.param(changed(CLASSIFIED, seen_png="?"), "'classified' has a list or bytes", id="no base64"),
    pytest.param(changed(CLASSIFIED, seen_png="ä"), "'classified' has a list or bytes", id="no ASCII"),
    pytest.param(changed(CLASSIFIED, seen_png=7), "a 'seen_png' that cannot be", id="a number for bytes"),
    pytest.param(protocol.encode(protocol.Prepared(1, 2)), "Prepared came instead of Classified", id="another answer"),
]


@pytest.fixture
def answering(tmp_path: Path) -> Iterator[Callable[[str], Classifier]]:
    """The dashboard's side of a classifier that answers everything with a given line."""
    opened: list[Classifier] = []

    def start(line: str) -> Classifier:
        (tmp_path / "line").write_text(line, encoding="utf-8")
        python = tmp_path / "python"
        code = f"import sys\nfor _ in sys.stdin: print(open({str(tmp_path / 'line')!r}).read(), flush=True)"
        python.write_text(f"#!{sys.executable}\n{code}\n")
        python.chmod(0o755)
        opened.append(Classifier(LabHome(str(tmp_path)), str(python)))
        return opened[-1]

    yield start
    for classifier in opened:
        classifier.close()


@pytest.mark.parametrize("line, sentence", MALFORMED)
def test_what_is_no_answer_is_a_sentence_for_people(
    answering: Callable[[str], Classifier], line: str, sentence: str
) -> None:
    with pytest.raises(ClassifierError, match=f"cannot be understood: .*{sentence}.*Restart the lab"):
        answering(line).classify("a-run", b"a picture")


def test_a_refusal_is_raised_word_for_word(answering: Callable[[str], Classifier]) -> None:
    line = changed(protocol.Refusal("There is no such model."), hint="of a newer classifier")
    with pytest.raises(ClassifierError, match=r"^There is no such model\.$"):
        answering(line).classify("a-run", b"a picture")


def test_the_answer_of_a_newer_classifier_is_understood(answering: Callable[[str], Classifier]) -> None:
    answer = answering(changed(CLASSIFIED, shade="new")).classify("a-run", b"a picture")
    assert (answer.top, answer.seen_png, answer.width) == ([("red", 0.7)], b"png", 6)


def test_a_network_that_diverged_does_not_hide_what_the_others_say(answering: Callable[[str], Classifier]) -> None:
    networks = [protocol.NetworkScores("wild", [None, None], 0.1), protocol.NetworkScores("calm", [0.25, 0.75], 0.2)]
    line = protocol.encode(protocol.DigitClassified(networks, "LiteRT", "CPU"))
    wild, calm = answering(line).digit("a-run", np.zeros((28, 28), np.uint8))
    assert np.isnan(wild.probabilities).all()
    assert (calm.lane, calm.probabilities, calm.seconds) == ("calm", [0.25, 0.75], 0.2)
