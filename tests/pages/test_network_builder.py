"""A network of one's own: built from widgets or typed, refused with the layer named, run next to the others."""

import pytest

from engine.contract import catalog, layers
from engine.digits import network_text
from tests.pages.conftest import finished
from tests.pages.test_mnist import choose_bars
from tests.pages.test_retraining import button, texts


@pytest.fixture
def builder(visit):
    def open_builder(**query):
        return visit("mnist", build="1", **query)

    return open_builder


def typed(app, text):
    app.text_area(key="layers_text").set_value(text).run()
    return app


def test_the_builder_begins_with_a_known_network_and_says_what_each_layer_costs(builder):
    app = builder()
    assert "**Build a network**" in texts(app)
    meant = catalog.network("coursework_as_meant")
    assert app.text_area(key="layers_text").value == meant.layers
    for cost in layers.costs(layers.read(meant.layers)):
        if cost.multiply_adds:
            assert f"{cost.multiply_adds:,} multiply-adds" in texts(app)
    assert f"{370_454:,} parameters" in texts(app)


def test_a_changed_number_changes_shape_parameters_and_text_at_once(builder):
    app = typed(builder(), "conv 8 3, relu, pool 2, flatten, dense 10")
    filters = next(each for each in app.number_input if each.label == "Layer 1, filters")
    filters.set_value(16).run()
    assert app.text_area(key="layers_text").value == "conv 16 3, relu, pool 2, flatten, dense 10"
    assert "16 filters of 3 × 3 → 28 × 28 × 16 · 160 parameters" in texts(app)


def test_layers_are_moved_added_and_removed(builder):
    app = typed(builder(), "relu, flatten, dense 10")
    next(each for each in app.button if each.help == "Move layer 2 up").click().run()
    assert app.text_area(key="layers_text").value == "flatten, relu, dense 10"
    next(each for each in app.button if each.help == "Add a layer below layer 2").click().run()
    assert app.text_area(key="layers_text").value == "flatten, relu, relu, dense 10"
    next(each for each in app.button if each.help == "Remove layer 3").click().run()
    assert app.text_area(key="layers_text").value == "flatten, relu, dense 10"


def test_another_kind_of_layer_begins_with_its_usual_numbers(builder):
    app = typed(builder(), "relu, flatten, dense 10")
    next(each for each in app.selectbox if each.label == "Layer 1").set_value(layers.CONV).run()
    assert app.text_area(key="layers_text").value == "conv 32 3, flatten, dense 10"
    next(each for each in app.selectbox if each.label == "Layer 1").set_value(layers.DROPOUT).run()
    assert app.text_area(key="layers_text").value == "dropout 0.2, flatten, dense 10"


def test_a_network_without_layers_says_how_to_end_it_and_takes_a_first_one(builder):
    app = typed(builder(), "dense 10")
    next(each for each in app.button if each.help == "Remove layer 1").click().run()
    assert "The network has no layers; end it with flatten and dense 10." in texts(app)
    assert app.button(key="add_network").disabled
    app.button(key="add_first").click().run()
    assert app.text_area(key="layers_text").value == "relu"


def test_a_known_network_brings_its_recipe_and_asks_for_a_name_of_its_own(builder):
    app, strong = builder(), catalog.network("strong")
    app.selectbox(key="begin_with").set_value("strong").run()
    draft = network_text.read(app.query_params["network"])
    kept = {"name": "", "title": "", "source": "", "epochs": 0}
    assert draft._replace(**kept) == strong._replace(**kept)
    assert draft.title == "My strong"
    assert not app.button(key="add_network").disabled


def test_a_network_is_taken_out_of_the_comparison_again(builder):
    app = typed(builder(), "flatten, dense 10")
    app.text_input(key="own_title").set_value("Line").run()
    app.button(key="add_network").click().run()
    pills = next(each for each in app.button_group if each.key == "networks")
    assert "line" in pills.value
    app.button(key="drop_line").click().run()
    pills = next(each for each in app.button_group if each.key == "networks")
    assert "line" not in pills.value
    assert "Line" not in pills.options


def test_a_wrong_shape_is_named_at_its_row_and_cannot_be_added(builder):
    app = typed(builder(), "pool 28, pool 2, flatten, dense 10")
    assert "Layer 2, pool 2, leaves nothing: only 1 x 1 is left to pool." in texts(app)
    assert app.button(key="add_network").disabled
    app = typed(app, "flatten, dense 12")
    assert "The last layer is dense 12; it must be dense 10" in texts(app)
    assert app.button(key="add_network").disabled


def test_text_that_cannot_be_read_is_said_and_the_network_stays(builder):
    app = typed(builder(), "flatten, dense 10")
    app = typed(app, "flatten, bench 10")
    assert "Layer 2, 'bench 10', is none of" in texts(app)
    assert "1 layer" not in texts(app)
    assert app.query_params["network"].startswith("flatten, dense 10;")


def test_the_address_keeps_the_draft(builder):
    text = "conv 4 5, relu, pool 2, flatten, dense 10; title Shared net; sgd 0.05; batch 64; moved; held_out 1000"
    app = builder(network=text)
    assert app.text_area(key="layers_text").value == "conv 4 5, relu, pool 2, flatten, dense 10"
    assert app.text_input(key="own_title").value == "Shared net"
    assert app.query_params["network"] == text
    assert network_text.read(app.query_params["network"]).optimizer == "sgd"


def test_an_address_that_is_no_network_is_a_sentence(builder):
    app = builder(network="knit 3; title x")
    assert "The network in the address cannot be read." in texts(app)
    assert not app.exception


def test_a_network_of_the_catalogue_keeps_its_name(builder):
    app = builder()
    app.text_input(key="own_title").set_value("Beginner").run()
    assert "Beginner is a network of the catalogue; give yours another name." in texts(app)
    assert app.button(key="add_network").disabled


def test_a_built_network_runs_next_to_the_others_and_is_offered_again(builder, visit, home):
    app = typed(choose_bars(builder()), "conv 4 5, relu, pool 2, pool 2, flatten, dense 10")
    app.text_input(key="own_title").set_value("Four filters").run()
    app.button(key="add_network").click().run()
    button(app, "Start comparison").click().run()
    run = finished(home)
    built = run.spec.networks[-1]
    assert (built.name, built.title) == ("four_filters", "Four filters")
    assert built.layers == "conv 4 5, relu, pool 2, pool 2, flatten, dense 10"
    assert built.source == network_text.SOURCE
    later = builder()  # another session
    assert "Four filters · earlier run" in later.selectbox(key="begin_with").options
