"""What a run is asked to do: owns spec.json, written once when the run is queued and never changed.

Python 3.6, standard library only.
"""

import re
from typing import Any, Dict, List, NamedTuple, Tuple, Union

from engine.contract import VERSION, catalog, layers, shapes
from engine.contract.run_folder import read_json, write_json

# Of a run folder: one more wherever earlier versions could no longer read what a new one writes. Run folders without a
# format are the first.
FORMAT = 1
VERSION_LIMIT = 40  # characters of a version that are read

CPU, GPU = "cpu", "gpu"
DEVICES = (CPU, GPU)

LEARNING_RATE_LIMITS = (0.0001, 10.0)
LANE_LIMIT = 8


class RetrainSpec(NamedTuple):
    """One or more learning rates. The defaults are retrain.py's, with the coursework's learning rates."""

    backbone: str = "mobilenet_v2"  # a name of catalog.BACKBONES or ORIGINALS, or of one that was added
    learning_rates: Tuple[float, ...] = (0.005, 0.5, 1.0)  # one lane each, 1 to 8 different ones, 0.0001 to 10
    steps: int = 4000  # how_many_training_steps of retrain.py
    train_batch_size: int = 100  # photos; -1: every training photo once
    validation_batch_size: int = 100  # photos; -1: every validation photo once
    test_batch_size: int = -1  # photos; -1: every testing photo once
    eval_step_interval: int = 10  # steps between two evaluations
    validation_percentage: int = 10  # of the photos
    testing_percentage: int = 10  # of the photos
    seed: int = 0  # of the first weights and of every batch
    device: str = CPU  # "cpu" or "gpu"
    # DISTORTIONS, each time a photo is learned from; any of them switches the cache off for the training photos
    flip_left_right: bool = False  # half of the time
    random_crop: int = 0  # 0..90 %: how much larger than the crop the photo is
    random_scale: int = 0  # 0..100 %: how much larger, at random, at most
    random_brightness: int = 0  # 0..100 %: the pixels are multiplied by up to so much more or less than 1
    bottleneck_dir: str = ""  # absolute: a folder of retrain.py's text files, read and written; "" for none
    summaries_dir: str = ""  # absolute: event files go there too, into a folder named as the run; "" for none
    intermediate_store_frequency: int = 0  # steps between two intermediate graphs; 0: none
    final_tensor_name: str = "final_result"  # of the frozen graph's output
    threads: int = 0  # cores that the run may use, each with one thread of work; 0: every core of the machine
    use_cache: bool = True  # False: bottlenecks are neither read nor kept, so that their time is measured
    group: str = ""  # the same for runs that were started to be compared with each other; "" for none


DISTORTIONS = ("flip_left_right", "random_crop", "random_scale", "random_brightness")


NETWORK_LIMIT = 6  # the palette has six colours that stay apart
EPOCH_LIMIT = 100
BATCH_LIMIT = 8192
NETWORK_RATE_LIMITS = (0.00001, 1.0)
IMAGES_LIMIT = 1000  # fewer training pictures than this teach a network nothing
# Compared where nobody chooses others.
DEFAULT_NETWORKS = tuple(catalog.network(name) for name in ("beginner", "coursework_as_meant", "small", "strong"))


class MnistSpec(NamedTuple):
    data: str = "mnist"  # a name of catalog.DIGIT_SETS, or of a set that was uploaded
    # One lane each, trained side by side, 1 to 6 of different names
    networks: Tuple[catalog.Network, ...] = DEFAULT_NETWORKS
    training_images: int = 0  # from the first on; 0: all. Held out pictures come from the end
    epochs: int = 5  # 1 to 100
    seed: int = 0  # of first weights, order, dropout and moved pictures
    device: str = CPU  # "cpu" or "gpu"


class ImportedSpec(NamedTuple):
    """Curves that were read from TensorBoard's files; nothing is asked of a worker."""

    title: str  # for people
    source: str  # absolute: the folder they were read from
    lanes: Tuple[str, ...]  # the names of its runs, 1 to 8 different ones
    device: str  # "": it is not known where they were trained


class ClassifySpec(NamedTuple):
    """Many pictures, named in dataset.json, and one model that says what each shows."""

    model: str = ""  # its key, see engine/playground/models.py
    model_title: str = ""  # for people, as it was called when it was asked: it may be deleted since
    top: int = 5  # labels kept of each picture, 1 to 20
    device: str = CPU  # "cpu" or "gpu"


ALL_BLOCKS = -1
BLOCKS_LIMIT = 16  # the smallest of these backbones has 18 blocks; beyond, all of them are meant
BODY_RATE_LIMITS = (0.000001, 1.0)
FINE_TUNE_BATCH_LIMIT = 1024
MEMORY_LIMITS = (100, 1000000)  # MB


class FineTuneSpec(NamedTuple):
    """The last blocks of a backbone learn along with the head."""

    backbone: str = "mobilenet_v2"  # a name of catalog.BACKBONES whose format is CHECKPOINT
    blocks: Tuple[int, ...] = (0, 2)  # one lane each: how many of the last blocks learn; 0: none, ALL_BLOCKS: all
    epochs: int = 5  # 1 to 100
    batch_size: int = 32  # photos learned from at once, 1 to 1,024
    head_learning_rate: float = 0.01  # 0.0001 to 10
    body_learning_rate: float = 0.0001  # of the blocks, 0.000001 to 1
    # DISTORTIONS, as in RetrainSpec
    flip_left_right: bool = False
    random_crop: int = 0
    random_scale: int = 0
    random_brightness: int = 0
    validation_percentage: int = 10  # of the photos
    testing_percentage: int = 20  # of the photos; the difference between lanes is judged on these
    seed: int = 0  # of the head's first weights and of every order
    device: str = CPU  # "cpu" or "gpu"
    memory_limit: int = 0  # MB for the process of a lane; 0: what the machine has


class BatchSizeSpec(NamedTuple):
    """Which batch sizes fit into the memory, and how fast each is."""

    backbone: str = "mobilenet_v2"  # as in FineTuneSpec
    blocks: int = ALL_BLOCKS  # how many of the last blocks learn; ALL_BLOCKS: all
    largest: int = 64  # batch size tried, 1 to 1,024
    device: str = CPU  # "cpu" or "gpu"
    memory_limit: int = 0  # MB for the process that learns; 0: what is free when the run begins


ALL_PHOTOS = 0  # as a size: every training photo that there is
SIZES_LIMIT = 12
SEEDS_LIMIT = 20


class LearningCurveSpec(NamedTuple):
    """How accuracy grows with the photos that are learned from."""

    backbone: str = "mobilenet_v2"  # as in RetrainSpec
    learning_rate: float = 0.1  # 0.0001 to 10; with it the layer has learned what it can after a few hundred steps
    steps: int = 500  # of each training
    train_batch_size: int = 100  # photos; -1: every training photo once
    # Training photos of each class, 1 to 12 different numbers; all that there are are always measured too
    sizes: Tuple[int, ...] = (5, 10, 20, 50, 100)
    seeds: int = 5  # trainings of each size, 1 to 20, each from other photos, first weights and batches
    validation_percentage: int = 10  # of the photos: the splits are those of RetrainSpec
    testing_percentage: int = 20  # of the photos; the difference between sizes is judged on these
    seed: int = 0  # the first one; the others follow it
    device: str = CPU  # "cpu" or "gpu"


Spec = Union[RetrainSpec, MnistSpec, ImportedSpec, ClassifySpec, FineTuneSpec, BatchSizeSpec, LearningCurveSpec]

# The kinds of runs, as spec.json names them.
RETRAIN, MNIST, IMPORTED, CLASSIFY, FINE_TUNE, BATCH_SIZE, LEARNING_CURVE = (
    "retrain",
    "mnist",
    "imported",
    "classify",
    "fine_tune",
    "batch_size",
    "learning_curve",
)

_DEFAULTS = {
    RETRAIN: RetrainSpec(),
    MNIST: MnistSpec(),
    IMPORTED: ImportedSpec(title="", source="", lanes=(), device=""),
    CLASSIFY: ClassifySpec(),
    FINE_TUNE: FineTuneSpec(),
    BATCH_SIZE: BatchSizeSpec(),
    LEARNING_CURVE: LearningCurveSpec(),
}


def lane_name(learning_rate: float) -> str:
    """The lane's name from slider to axis: "0.005", "1.0", "10.0"."""
    return repr(float(learning_rate))


def depth_name(blocks: int) -> str:
    """The lane's name: "frozen", "last_2", "all"."""
    return {0: "frozen", ALL_BLOCKS: "all"}.get(blocks, f"last_{blocks}")


def depth_title(blocks: int) -> str:
    """The lane as people read it: "Frozen", "Last 2 blocks", "All blocks"."""
    return {0: "Frozen", 1: "Last block", ALL_BLOCKS: "All blocks"}.get(blocks, f"Last {blocks} blocks")


def lanes(spec: Spec) -> List[str]:
    """The names of the run's lanes in the order of creation, which is the order of their colours."""
    if isinstance(spec, MnistSpec):
        return [network.name for network in spec.networks]
    if isinstance(spec, ImportedSpec):
        return list(spec.lanes)
    if isinstance(spec, (ClassifySpec, BatchSizeSpec, LearningCurveSpec)):
        return []
    if isinstance(spec, FineTuneSpec):
        return [depth_name(blocks) for blocks in spec.blocks]
    return [lane_name(rate) for rate in spec.learning_rates]


def lane_titles(spec: Spec) -> List[str]:
    """The lanes as people read them: "lr 0.5", "Beginner"."""
    if isinstance(spec, MnistSpec):
        return [network.title for network in spec.networks]
    if isinstance(spec, ImportedSpec):
        return list(spec.lanes)
    if isinstance(spec, FineTuneSpec):
        return [depth_title(blocks) for blocks in spec.blocks]
    return ["lr " + lane for lane in lanes(spec)]


def lines(spec: Spec) -> Tuple[str, ...]:
    """The devices in whose lines such a run waits: one of a comparison in all, so that no other one disturbs it."""
    return DEVICES if getattr(spec, "group", "") else (spec.device,)


def machine_title(spec: RetrainSpec) -> str:
    """What the run computes on, as people read it: "GPU", "CPU", "1 thread"."""
    if not spec.threads:
        return spec.device.upper()
    return "{} thread{}".format(spec.threads, "" if spec.threads == 1 else "s")


def write(path: str, spec: Spec) -> None:
    """Write spec.json, with the format of the run folder and the version of the lab that made it. Raises OSError."""
    value: Dict[str, Any] = {"kind": kind(spec), "format": FORMAT, "version": VERSION}
    value.update(spec._asdict())
    if isinstance(spec, MnistSpec):
        value["networks"] = [network._asdict() for network in spec.networks]
    write_json(path, value)


def read(path: str) -> Any:
    """The spec of any kind of run.

    Raises OSError, and ValueError for a newer format, for a kind that this version does not know and for values that
    no spec can have.
    """
    value = _read_object(path)
    written_format = value.get("format", 1)
    if type(written_format) is not int or written_format < 1:
        raise ValueError(f"in spec.json, format is {written_format!r:.80}")
    if written_format > FORMAT:
        raise ValueError(
            f"a newer version of the lab wrote it, in format {written_format}; this one reads up to format {FORMAT}. "
            "Update the lab, or delete the run"
        )
    usual: Any = _DEFAULTS.get(str(value.pop("kind", None)))
    if usual is None:
        raise ValueError("it is a kind of run that this version does not know")
    known = {name: value[name] for name in usual._fields if name in value}
    if isinstance(usual, MnistSpec):
        known["networks"] = tuple(_network(row) for row in known["networks"])
    elif isinstance(usual, ImportedSpec):
        known["lanes"] = tuple(str(lane) for lane in known["lanes"])
    elif isinstance(usual, RetrainSpec):
        known["learning_rates"] = tuple(known["learning_rates"])
    elif isinstance(usual, FineTuneSpec):
        known["blocks"] = tuple(known["blocks"])
    elif isinstance(usual, LearningCurveSpec):
        known["sizes"] = tuple(known["sizes"])
    wrong = shapes.misfit(type(usual), known)
    if wrong:
        raise ValueError(f"in spec.json, {wrong} is {known[wrong]!r:.80}")
    return usual._replace(**known)


def version(path: str) -> str:
    """The version of the lab that wrote this spec.json; "" where that was before it wrote one.

    Raises OSError, and ValueError for what is no spec.json.
    """
    written = _read_object(path).get("version", "")
    return written[:VERSION_LIMIT] if isinstance(written, str) else ""


def _read_object(path: str) -> Dict[str, Any]:
    value = read_json(path)
    if not isinstance(value, dict):
        raise ValueError("spec.json holds no settings of a run")
    return value


def _network(value: Any) -> catalog.Network:
    fields = catalog.Network._fields
    return catalog.NETWORKS[0]._replace(**{name: value[name] for name in fields if name in value})


def kind(spec: Spec) -> str:
    """One of the names of _DEFAULTS."""
    return next(name for name, usual in _DEFAULTS.items() if isinstance(spec, type(usual)))


def faults(spec: Spec) -> List[str]:
    """What is wrong with the spec, one sentence each that says what came and what is accepted; empty if nothing."""
    if isinstance(spec, ImportedSpec):
        return ["Curves that were imported are not run again; import their files once more."]
    if isinstance(spec, ClassifySpec):
        found = _faults_of_classify(spec)
    elif isinstance(spec, BatchSizeSpec):
        found = _faults_of_batch_size(spec)
    elif isinstance(spec, FineTuneSpec):
        found = _faults_of_fine_tune(spec)
        _within(found, "Seed", spec.seed, 0, 2**31 - 1)
    elif isinstance(spec, LearningCurveSpec):
        found = _faults_of_learning_curve(spec)
    else:
        found = _faults_of_mnist(spec) if isinstance(spec, MnistSpec) else _faults_of_retrain(spec)
        _within(found, "Seed", spec.seed, 0, 2**31 - 1)
    if spec.device not in DEVICES:
        found.append("Device is {!r}; choose one of {}.".format(spec.device, ", ".join(DEVICES)))
    return found


def _faults_of_mnist(spec: MnistSpec) -> List[str]:
    found: List[str] = []
    if not 1 <= len(spec.networks) <= NETWORK_LIMIT:
        found.append(f"{len(spec.networks)} networks; choose 1 to {NETWORK_LIMIT}.")
    for number, network in enumerate(spec.networks):
        if network.name in [other.name for other in spec.networks[:number]]:
            found.append(f"{network.title} is listed twice; each network needs a name of its own.")
        found += [f"{network.title}: {fault}" for fault in network_faults(network)]
    if not re.match(r"[A-Za-z0-9][A-Za-z0-9_-]*$", spec.data):  # becomes part of a path
        found.append(f"Data is {spec.data!r}; choose a set by its name, like mnist.")
    if spec.training_images:
        _within(found, "Training images", spec.training_images, IMAGES_LIMIT, 10000000, " or 0 for all")
    _within(found, "Epochs", spec.epochs, 1, EPOCH_LIMIT)
    return found


def _faults_of_classify(spec: ClassifySpec) -> List[str]:
    found: List[str] = []
    if not re.match(r"[A-Za-z0-9][A-Za-z0-9._:+-]{0,199}$", spec.model):  # becomes part of a path
        found.append(f"Model is {spec.model!r}; choose a run, a backbone or an uploaded model by its name.")
    _within(found, "Labels kept of each picture", spec.top, 1, 20)
    return found


def _faults_of_fine_tune(spec: FineTuneSpec) -> List[str]:
    found = _backbone_faults(spec.backbone)
    if not 1 <= len(spec.blocks) <= LANE_LIMIT:
        found.append(f"{len(spec.blocks)} depths; choose 1 to {LANE_LIMIT}.")
    if len(set(spec.blocks)) < len(spec.blocks):
        found.append("A depth is listed twice; each lane needs its own.")
    for blocks in spec.blocks:
        _depth(found, blocks)
    _within(found, "Epochs", spec.epochs, 1, EPOCH_LIMIT)
    _within(found, "Batch size", spec.batch_size, 1, FINE_TUNE_BATCH_LIMIT)
    for what, rate, (low, high) in (
        ("Head's learning rate", spec.head_learning_rate, LEARNING_RATE_LIMITS),
        ("Blocks' learning rate", spec.body_learning_rate, BODY_RATE_LIMITS),
    ):
        if not low <= rate <= high:  # False for NaN too
            found.append(f"{what} is {rate:g}; choose {low:g} to {high:g}.")
    _splits(found, spec)
    _distortions(found, spec)
    _memory(found, spec)
    return found


def _faults_of_batch_size(spec: BatchSizeSpec) -> List[str]:
    found = _backbone_faults(spec.backbone)
    _depth(found, spec.blocks)
    _within(found, "Largest batch size", spec.largest, 1, FINE_TUNE_BATCH_LIMIT)
    _memory(found, spec)
    return found


def _faults_of_learning_curve(spec: LearningCurveSpec) -> List[str]:
    found = _retrained_backbone_faults(spec.backbone)
    _rate(found, spec.learning_rate)
    _within(found, "Steps", spec.steps, 1, 1000000)
    if spec.train_batch_size != -1:
        _within(found, "Train batch size", spec.train_batch_size, 1, 100000, " or -1 for all photos")
    if not 1 <= len(spec.sizes) <= SIZES_LIMIT:
        found.append(f"{len(spec.sizes)} sizes; choose 1 to {SIZES_LIMIT}.")
    if len(set(spec.sizes)) < len(spec.sizes):
        found.append("A number of photos is listed twice; each size needs its own.")
    for size in spec.sizes:
        _within(found, "Photos per class", size, 1, 1000000)
    _within(found, "Seeds", spec.seeds, 1, SEEDS_LIMIT)
    _splits(found, spec)
    _within(found, "Seed", spec.seed, 0, 2**31 - 1 - SEEDS_LIMIT)
    return found


def tunable() -> List[catalog.Backbone]:
    """The backbones whose blocks can learn: those whose layers the lab builds itself."""
    return [row for row in catalog.BACKBONES if row.format == catalog.CHECKPOINT]


def _backbone_faults(name: str) -> List[str]:
    names = [row.name for row in tunable()]
    if name in names:
        return []
    return [
        "Backbone is {!r}, whose blocks cannot learn: it is not there, or it comes as a finished graph. Choose "
        "{}.".format(name, " or ".join(names))
    ]


def _depth(found: List[str], blocks: int) -> None:
    if blocks != ALL_BLOCKS:
        _within(found, "Number of blocks that learn", blocks, 0, BLOCKS_LIMIT, " or -1 for all")


def _memory(found: List[str], spec: Union[FineTuneSpec, BatchSizeSpec]) -> None:
    if spec.memory_limit:
        _within(found, "Memory limit in MB", spec.memory_limit, *(MEMORY_LIMITS + (" or 0 for none",)))


def network_faults(network: catalog.Network) -> List[str]:
    """What is wrong with one network, its layers and how it is to be trained; empty if nothing."""
    found: List[str] = []
    if not re.match(r"[a-z0-9][a-z0-9_]{0,39}$", network.name):  # becomes a file's name
        found.append(f"Its name is {network.name!r}; use up to 40 of a to z, 0 to 9 and _.")
    try:
        found += layers.faults(layers.read(network.layers))
    except ValueError as error:
        found.append(str(error))
    low, high = NETWORK_RATE_LIMITS
    if not low <= network.learning_rate <= high:  # False for NaN too
        found.append(f"Learning rate is {network.learning_rate:g}; choose {low:g} to {high:g}.")
    if network.optimizer not in (catalog.ADAM, catalog.SGD):
        found.append(f"Optimizer is {network.optimizer!r}; choose adam or sgd.")
    if network.schedule not in (catalog.CONSTANT, catalog.ONE_CYCLE):
        found.append(f"Schedule is {network.schedule!r}; choose constant or one_cycle.")
    _within(found, "Batch size", network.batch_size, 1, BATCH_LIMIT)
    if not 0 <= network.label_smoothing <= 0.5:
        found.append(f"Label smoothing is {network.label_smoothing:g}; choose 0 to 0.5.")
    _within(found, "Validation images", network.validation_images, 0, 50000)
    return found


def _faults_of_retrain(spec: RetrainSpec) -> List[str]:
    found = _retrained_backbone_faults(spec.backbone)
    rates = spec.learning_rates
    if not 1 <= len(rates) <= LANE_LIMIT:
        found.append(f"{len(rates)} learning rates; choose 1 to {LANE_LIMIT}.")
    if len(set(rates)) < len(rates):
        found.append("A learning rate is listed twice; each lane needs its own.")
    for rate in rates:
        _rate(found, rate)
    _within(found, "Steps", spec.steps, 1, 1000000)
    for name in ("train_batch_size", "validation_batch_size", "test_batch_size"):
        if getattr(spec, name) != -1:
            _within(found, name.replace("_", " ").capitalize(), getattr(spec, name), 1, 100000, " or -1 for all photos")
    _within(found, "Evaluation interval", spec.eval_step_interval, 1, 1000000)
    _splits(found, spec)
    _distortions(found, spec)
    _within(found, "Intermediate store frequency", spec.intermediate_store_frequency, 0, 1000000, " steps; 0 for none")
    if not re.match(r"[A-Za-z0-9.][A-Za-z0-9_.\\/-]*$", spec.final_tensor_name):  # TensorFlow's rule for names
        found.append(f"Final tensor name is {spec.final_tensor_name!r}; use letters, digits, _ . / and -.")
    _within(found, "Threads", spec.threads, 0, 1024, "; 0 takes every core")
    if spec.bottleneck_dir and not spec.use_cache:
        found.append("A run without the cache keeps no bottlenecks in text files either; leave one of the two out.")
    return found


def _retrained_backbone_faults(name: str) -> List[str]:
    known = [row.name for row in catalog.BACKBONES + catalog.ORIGINALS]
    if name in known or re.match(catalog.ADDED_NAME, name):
        return []
    names = ", ".join([row.name for row in catalog.BACKBONES] + ["inception_v3"])
    originals = "mobilenet_<1.0|0.75|0.50|0.25>_<224|192|160|128>[_quantized]"
    return [f"Backbone is {name!r}; choose one of {names}, or {originals}."]


def _rate(found: List[str], rate: float) -> None:
    low, high = LEARNING_RATE_LIMITS
    if not low <= rate <= high:  # False for NaN too
        found.append(f"Learning rate is {rate:g}; choose {low:g} to {high:g}.")


def _splits(found: List[str], spec: Union[RetrainSpec, FineTuneSpec, LearningCurveSpec]) -> None:
    _within(found, "Validation percentage", spec.validation_percentage, 1, 80)
    _within(found, "Testing percentage", spec.testing_percentage, 1, 80)
    if spec.validation_percentage + spec.testing_percentage > 90:
        found.append(
            f"Validation and testing take {spec.validation_percentage + spec.testing_percentage} % of the photos; "
            "leave at least 10 % for training."
        )


def _distortions(found: List[str], spec: Union[RetrainSpec, FineTuneSpec]) -> None:
    _within(found, "Random crop", spec.random_crop, 0, 90, " percent")
    _within(found, "Random scale", spec.random_scale, 0, 100, " percent")
    _within(found, "Random brightness", spec.random_brightness, 0, 100, " percent")


def is_distorted(spec: Union[RetrainSpec, FineTuneSpec]) -> bool:
    """Whether photos are changed at random each time they are learned from."""
    return any(getattr(spec, name) for name in DISTORTIONS)


def is_never_the_same(spec: FineTuneSpec) -> bool:
    """Whether a photo is another picture each time, and not as it is or mirrored, of which both can be kept."""
    return any(getattr(spec, name) for name in DISTORTIONS if name != "flip_left_right")


def _within(found: List[str], name: str, value: int, low: int, high: int, otherwise: str = "") -> None:
    if not low <= value <= high:
        found.append(f"{name} is {value:,}; choose {low:,} to {high:,}{otherwise}.")
