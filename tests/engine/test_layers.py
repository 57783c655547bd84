"""Networks as text: shapes, parameters, multiply-adds, and what is refused."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.contract import catalog, layers


def rows_of(text: str) -> list[layers.Cost]:
    return layers.costs(layers.read(text))


@pytest.mark.parametrize(
    ("name", "parameters"),
    [("beginner", 101_770), ("coursework_as_handed_in", 92_619), ("coursework_as_meant", 370_454)],
)
def test_the_courseworks_networks_have_as_many_parameters_as_its_notebooks_say(name: str, parameters: int) -> None:
    assert layers.parameters(rows_of(catalog.network(name).layers)) == parameters


def test_the_small_network_is_small() -> None:
    assert layers.parameters(rows_of(catalog.network("small").layers)) <= 20_000


def test_every_row_of_a_small_network_can_be_checked_on_paper() -> None:
    rows = rows_of("conv 8 3, batchnorm, relu, pool 2, pool 4, dropout 0.5, flatten, dense 10")
    assert [row.shape for row in rows] == [
        (28, 28, 8), (28, 28, 8), (28, 28, 8), (14, 14, 8), (4, 4, 8), (4, 4, 8), (128,), (10,),
    ]  # fmt: skip
    assert [row.parameters for row in rows] == [9 * 8 + 8, 4 * 8, 0, 0, 0, 0, 0, 128 * 10 + 10]
    assert [row.multiply_adds for row in rows] == [784 * 9 * 8, 0, 0, 0, 0, 0, 0, 1280]
    # Of the 28 rows the outer two lack one of three: 82 of 84 products along each axis are no padding.
    assert rows[0].on_padding == (84 * 84 - 82 * 82) * 8
    assert rows[1].given == (28, 28, 8)


def test_conv2d_3_32_and_what_it_spends_on_padding() -> None:
    first, _, _, second = rows_of("conv 3 32, relu, pool 2, conv 3 64")
    assert (first.parameters, first.multiply_adds) == (32 * 32 * 3 + 3, 784 * 1024 * 3)
    assert second.multiply_adds == 196 * 64 * 64 * 3 * 3  # 7.2 million
    # A kernel that reaches over everything joins each of 14 x 14 places with each.
    assert second.multiply_adds - second.on_padding == 14**4 * 9


@given(st.integers(1, 28), st.integers(1, 70))
def test_products_without_padding_are_those_that_meet_a_picture(side: int, kernel: int) -> None:
    before = (kernel - 1) // 2
    met = sum(0 <= out - before + k < side for out in range(side) for k in range(kernel))
    assert layers._useful(side, kernel) == met


@pytest.mark.parametrize("network", catalog.NETWORKS, ids=lambda network: network.name)
def test_the_text_of_every_network_of_the_catalogue_comes_back(network: catalog.Network) -> None:
    found = layers.read(network.layers)
    assert layers.write(found) == network.layers
    assert layers.faults(found) == []


def test_a_layer_is_made_of_its_kind_and_numbers() -> None:
    assert layers.layer("conv", 32, 3) == layers.Layer("conv", 32, 3, 0.0)
    assert layers.layer("dropout", 0.2) == layers.Layer("dropout", 0, 0, 0.2)
    assert layers.arguments(layers.layer("pool", 2)) == [2]
    assert layers.name(layers.layer("relu")) == "relu"


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("", "Layer 1, '', is none of average, batchnorm, conv, dense, dropout, flatten, pool, relu."),
        ("flatten, bench 10", "Layer 2, 'bench 10', is none of"),
        ("conv 32", "Layer 1, 'conv 32', should be written conv FILTERS KERNEL."),
        ("conv a b", "Layer 1, 'conv a b', should be written conv FILTERS KERNEL."),
        ("relu 3", "Layer 1, 'relu 3', should be written relu."),
    ],
)
def test_text_that_is_no_network_is_refused_with_the_layer_named(text: str, sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence.replace("'", ".").replace(".", r".")):
        layers.read(text)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("dense 10", "Layer 1, dense 10, needs a list of numbers, and gets 28 rows, 28 columns and 1 channels."),
        ("flatten, conv 8 3, dense 10", "Layer 2, conv 8 3, needs rows and columns"),
        ("flatten, flatten, dense 10", "Layer 2, flatten, needs rows and columns"),
        ("pool 28, pool 2, flatten, dense 10", "Layer 2, pool 2, leaves nothing: only 1 x 1 is left to pool."),
        ("conv 300 3, flatten, dense 10", "Layer 1, conv 300 3: filters is 300; choose whole numbers 1 to 256."),
        ("conv 2.5 3, flatten, dense 10", "Layer 1, conv 2.5 3: filters is 2.5; choose whole numbers 1 to 256."),
        ("conv 8 99, flatten, dense 10", "Layer 1, conv 8 99: kernel is 99; choose whole numbers 1 to 64."),
        ("dropout 1, flatten, dense 10", "Layer 1, dropout 1: rate is 1; choose 0.05 to 0.9."),
        ("conv inf 3, flatten, dense 10", "Layer 1, conv inf 3: filters is inf; choose whole numbers 1 to 256."),
        ("dropout nan, flatten, dense 10", "Layer 1, dropout nan: rate is nan; choose 0.05 to 0.9."),
        ("flatten, dense 12", "The last layer is dense 12; it must be dense 10, one unit a class."),
        ("flatten, dense 10, relu", "The last layer is relu; it must be dense 10"),
        (", ".join(["relu"] * 31), "The network has 31 layers; use at most 30."),
        ("conv 256 3, flatten, dense 2048, dense 10", "parameters; use at most 5,000,000."),
        ("conv 256 9, conv 256 9, average, dense 10", "multiply-adds; use at most 200,000,000."),
    ],
)
def test_a_network_that_cannot_be_built_is_refused_before_it_starts(text: str, sentence: str) -> None:
    assert any(sentence in fault for fault in layers.faults(layers.read(text)))


def test_no_layers_at_all_are_a_sentence() -> None:
    assert layers.faults([]) == ["The network has no layers; end it with flatten and dense 10."]


kinds = st.sampled_from(list(layers.ARGUMENTS))


@st.composite
def any_layer(draw: st.DrawFn) -> layers.Layer:
    kind = draw(kinds)
    numbers = [
        draw(st.floats(low, high)) if kind == "dropout" else draw(st.integers(int(low), int(high)))
        for _, low, high in layers.ARGUMENTS[kind]
    ]
    return layers.layer(kind, *numbers)


@given(st.lists(any_layer(), max_size=12))
def test_any_layers_are_either_a_network_or_refused_in_words(found: list[layers.Layer]) -> None:
    refused = layers.faults([*found, layers.layer("dense", 10)])
    if refused:
        assert all(fault.endswith(".") for fault in refused)
    else:
        rows = layers.costs([*found, layers.layer("dense", 10)])
        assert rows[-1].shape == (10,)
        assert all(0 <= row.on_padding <= row.multiply_adds for row in rows)
        assert all(one.shape == two.given for one, two in itertools.pairwise(rows))
