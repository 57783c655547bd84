"""A network with its recipe as one line."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.contract import catalog
from engine.contract.kinds.mnist import network_faults
from engine.digits import network_text


@pytest.mark.parametrize("network", catalog.NETWORKS, ids=lambda network: network.name)
def test_every_network_of_the_catalogue_comes_back_from_its_line(network: catalog.Network) -> None:
    again = network_text.read(network_text.write(network))
    kept = network._replace(name=network_text.name_of(network.title), epochs=again.epochs, source=network_text.SOURCE)
    assert again == kept


def test_what_is_left_out_is_as_in_the_coursework() -> None:
    found = network_text.read("flatten, dense 10")
    assert found.title == "My network"
    assert (found.optimizer, found.learning_rate, found.batch_size) == ("adam", 0.001, 32)
    assert (found.schedule, found.label_smoothing, found.augmentation) == ("constant", 0.0, False)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("", "Layer 1, '', is none of"),
        ("flatten, dense 10; batch many", "batch is 'many'; write a number."),
        ("flatten, dense 10; batch 70000", "Batch size is 70,000; choose 1 to 8,192."),
        ("flatten, dense 10; adam nan", "Learning rate is nan"),
        ("flatten, dense 10; colour red", "'colour red' is no setting"),
        ("flatten, dense 10; moved far", "'moved far' is no setting"),
        ("conv 9999 3, flatten, dense 10", "Layer 1, conv 9999 3: filters is 9999; choose whole numbers 1 to 256."),
        ("conv inf 3, flatten, dense 10", "Layer 1, conv inf 3: filters is inf"),
        (", ".join(["relu"] * 31), "The network has 31 layers; use at most 30."),
        ("relu" + " " * 4000, "The text has 4,004 characters; use at most 4,000."),
    ],
)
def test_a_line_that_is_no_network_is_refused_with_a_sentence(text: str, sentence: str) -> None:
    with pytest.raises(ValueError) as caught:  # noqa: PT011  # the sentence is compared below
        network_text.read(text)
    assert sentence in str(caught.value)


def test_wrong_shapes_are_left_to_the_builder_which_shows_them_at_their_row() -> None:
    found = network_text.read("dense 10; title Mine")
    assert found.layers == "dense 10"
    assert network_faults(found) != []


@given(st.text(max_size=60))
def test_any_title_becomes_a_name_that_a_file_can_have_and_survives_the_line(title: str) -> None:
    plain = network_text.plain(title)
    named = catalog.network("beginner")._replace(title=plain or "x", name=network_text.name_of(plain))
    assert network_faults(named) == []
    if plain:
        assert network_text.read(network_text.write(named)).title == plain


@given(st.text(max_size=80))
def test_any_text_is_a_network_or_refused_in_words(text: str) -> None:
    refused = ""
    try:
        network_text.read(text)
    except ValueError as error:
        refused = str(error)
    assert refused.endswith(".") or not refused
