"""The Keras code that the Layers tab shows is run here with the real Keras, in a process of its own."""

import json
import subprocess
import sys
from types import SimpleNamespace

import pytest

from engine.contract import catalog, layers
from engine.digits import keras_code
from engine.worker.mnist import fitting, networks
from ui.kinds.mnist import network_layers

EVERYTHING = catalog.network("beginner")._replace(
    name="every_kind",
    layers="conv 4 5, batchnorm, relu, pool 3, conv 3 40, dropout 0.25, average, dense 12, batchnorm, relu, dense 10",
    optimizer=catalog.SGD,
    learning_rate=0.00005,
)
CYCLE = catalog.network("beginner")._replace(
    name="cycle", schedule=catalog.ONE_CYCLE, learning_rate=0.02, batch_size=500, epochs=4, validation_images=4000
)
ROWS = [*catalog.NETWORKS, EVERYTHING, CYCLE]
STEPS = [0, 27, 56, 111, 112, 113, 200, 300, 447]  # of 4 epochs with 112 batches

REPORT = """
import json, sys
found = {}
for name, code in json.load(sys.stdin).items():
    there = {}
    exec(code, there)
    model, rate = there["model"], there["rate"]
    found[name] = {
        "parameters": model.count_params(),
        "shapes": [list(layer.output.shape[1:]) for layer in model.layers],
        "optimizer": type(model.optimizer).__name__,
        "rates": [float(rate(step)) if callable(rate) else rate for step in STEPS],
    }
print(json.dumps(found))
"""


@pytest.fixture(scope="module")
def keras():
    """What Keras says of the model that each row's code builds."""
    codes = json.dumps({row.name: keras_code.network(row) for row in ROWS})
    command = [sys.executable, "-c", REPORT.replace("STEPS", repr(STEPS))]
    ran = subprocess.run(command, input=codes, capture_output=True, text=True, timeout=110)
    assert ran.returncode == 0, ran.stderr[-2000:]
    return json.loads(ran.stdout.splitlines()[-1])


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_the_keras_code_builds_the_same_network(keras, row):
    found, costs = keras[row.name], layers.costs(layers.read(row.layers))
    assert found["parameters"] == layers.parameters(costs)
    assert [tuple(shape) for shape in found["shapes"]] == [cost.shape for cost in costs]
    assert found["optimizer"].lower() == row.optimizer


def test_the_keras_code_has_the_rates_that_the_lab_trains_with(keras):
    assert keras["every_kind"]["rates"] == [0.00005] * len(STEPS)
    ours = SimpleNamespace(network=CYCLE, steps=448)
    expected = [fitting.Fitting.rate(ours, step) for step in STEPS]
    # Keras counts from 0 where the lab counts from 1: up to one step of the steepest slope between them.
    assert keras["cycle"]["rates"] == pytest.approx(expected, abs=1.01 * 0.02 / 112)


def test_constants_of_the_worker_are_the_same_here():
    assert keras_code.BATCHNORM_MOMENTUM == networks.MOMENTUM
    assert keras_code.WARM_UP == fitting.WARM_UP


def test_the_table_has_a_row_for_each_layer_and_the_totals_add_up():
    costs = layers.costs(layers.read(catalog.network("coursework_as_meant").layers))
    rows = network_layers.table(costs)
    assert rows[0] == {
        "#": "1", "Layer": 'Conv2D(32, 3, padding="same")', "Output": "28 × 28 × 32", "Parameters": "320",
        "Multiply-adds": "225,792", "On padding": "4.7%",
    }  # fmt: skip
    # of the 3 · 28 products along an axis 82 meet the image: 1 - (82 / 84)² is 4.7 %
    assert rows[1]["Parameters"] is None
    assert [row["Output"] for row in rows[-6:]] == ["7 × 7 × 64", "3,136", "100", "100", "100", "10"]
    assert sum(int(row["Parameters"].replace(",", "")) for row in rows if row["Parameters"]) == 370_454
    assert network_layers.totals(costs).startswith("370,454 parameters, ")


@pytest.mark.parametrize("row", catalog.NETWORKS, ids=lambda row: row.name)
def test_how_a_network_is_trained_is_said_in_words(row):
    told = {line["Setting"]: line["Value"] for line in network_layers.recipe(row)}
    assert told["Learning rate"] == f"{row.learning_rate:g}"
    assert told["Moved images"] == ("Yes" if row.augmentation else "No")
    assert told["Held out"] == (f"The last {row.validation_images:,} images" if row.validation_images else "None")
