"""What a run is asked to do: owns spec.json, written once when the run is queued and never changed.

Python 3.6, standard library only.
"""

from typing import Any, List, NamedTuple, Tuple

from engine.contract import catalog
from engine.contract.run_folder import read_json, write_json

CPU, GPU = "cpu", "gpu"
DEVICES = (CPU, GPU)

LEARNING_RATE_LIMITS = (0.0001, 10.0)
LANE_LIMIT = 8

RetrainSpec = NamedTuple(
    "RetrainSpec",
    [
        ("backbone", str),  # a name of catalog.BACKBONES
        ("learning_rates", Tuple[float, ...]),  # one lane each, 1 to 8 different ones, 0.0001 to 10
        ("steps", int),  # how_many_training_steps of retrain.py
        ("train_batch_size", int),  # photos; -1: every training photo once
        ("validation_batch_size", int),  # photos; -1: every validation photo once
        ("test_batch_size", int),  # photos; -1: every testing photo once
        ("eval_step_interval", int),  # steps between two evaluations
        ("validation_percentage", int),  # of the photos
        ("testing_percentage", int),  # of the photos
        ("seed", int),  # of the first weights and of every batch
        ("device", str),  # "cpu" or "gpu"
    ],
)

# Learning rates of the coursework; everything else is retrain.py's default.
DEFAULT_RETRAIN = RetrainSpec(
    backbone="mobilenet_v2",
    learning_rates=(0.005, 0.5, 1.0),
    steps=4000,
    train_batch_size=100,
    validation_batch_size=100,
    test_batch_size=-1,
    eval_step_interval=10,
    validation_percentage=10,
    testing_percentage=10,
    seed=0,
    device=CPU,
)

_KINDS = {"retrain": RetrainSpec}


def lane_name(learning_rate):
    # type: (float) -> str
    """The lane's name from slider to axis: "0.005", "1.0", "10.0"."""
    return repr(float(learning_rate))


def write(path, spec):
    # type: (str, RetrainSpec) -> None
    value = {"kind": kind(spec)}  # type: dict[str, Any]
    value.update(spec._asdict())
    write_json(path, value)


def read(path):
    # type: (str) -> RetrainSpec
    """Raises ValueError for a kind of run that this version does not know."""
    value = read_json(path)
    record = _KINDS.get(value.pop("kind", None))
    if record is None:
        raise ValueError("{} asks for a kind of run that this version does not know".format(path))
    known = {name: value[name] for name in record._fields if name in value}
    known["learning_rates"] = tuple(known["learning_rates"])
    return DEFAULT_RETRAIN._replace(**known)


def kind(spec):
    # type: (RetrainSpec) -> str
    return next(name for name, record in _KINDS.items() if isinstance(spec, record))


def faults(spec):
    # type: (RetrainSpec) -> List[str]
    """What is wrong with the spec, one sentence each that says what came and what is accepted; empty if nothing."""
    found = []
    names = [backbone.name for backbone in catalog.BACKBONES]
    if spec.backbone not in names:
        found.append("Backbone is {!r}; choose one of {}.".format(spec.backbone, ", ".join(names)))
    rates = spec.learning_rates
    if not 1 <= len(rates) <= LANE_LIMIT:
        found.append("{} learning rates; choose 1 to {}.".format(len(rates), LANE_LIMIT))
    if len(set(rates)) < len(rates):
        found.append("A learning rate is listed twice; each lane needs its own.")
    low, high = LEARNING_RATE_LIMITS
    for rate in rates:
        if not low <= rate <= high:  # False for NaN too
            found.append("Learning rate is {:g}; choose {:g} to {:g}.".format(rate, low, high))
    _within(found, "Steps", spec.steps, 1, 1000000)
    for name in ("train_batch_size", "validation_batch_size", "test_batch_size"):
        if getattr(spec, name) != -1:
            _within(found, name.replace("_", " ").capitalize(), getattr(spec, name), 1, 100000, " or -1 for all photos")
    _within(found, "Evaluation interval", spec.eval_step_interval, 1, 1000000)
    _within(found, "Validation percentage", spec.validation_percentage, 1, 80)
    _within(found, "Testing percentage", spec.testing_percentage, 1, 80)
    if spec.validation_percentage + spec.testing_percentage > 90:
        found.append(
            "Validation and testing take {} % of the photos; leave at least 10 % for training.".format(
                spec.validation_percentage + spec.testing_percentage
            )
        )
    _within(found, "Seed", spec.seed, 0, 2**31 - 1)
    if spec.device not in DEVICES:
        found.append("Device is {!r}; choose one of {}.".format(spec.device, ", ".join(DEVICES)))
    return found


def _within(found, name, value, low, high, otherwise=""):
    # type: (List[str], str, int, int, int, str) -> None
    if not low <= value <= high:
        found.append("{} is {:,}; choose {:,} to {:,}{}.".format(name, value, low, high, otherwise))
