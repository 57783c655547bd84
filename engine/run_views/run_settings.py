"""The settings of a run as people read them, for its page, for comparisons and for reports: setting -> value."""

from collections.abc import Callable, Iterable

from engine.contract import catalog, choices, hardware, kinds, layers
from engine.contract.kinds.fine_tuning import FineTuningSpec
from engine.contract.kinds.race import RaceSpec, lane_name
from engine.runs import Run
from engine.words import count


class OwnPath(str):
    """A path of the machine that shows it: for its own pages, and left out of what is handed on."""


def rows(run: Run) -> dict[str, str]:
    """What a run of any kind was asked for, the shortest first."""
    return KINDS[run.kind](run)


def which(run: Run) -> dict[str, str]:
    """Where it ran, on which version of the lab, and which run it is."""
    found = run.story.hardware  # None in runs of earlier versions
    return (
        ({"Machine": hardware.describe(found)} if found else {})
        | ({"Lab": f"version {run.version}"} if run.version else {})
        | {"Run": run.id}
    )


def everything(run: Run) -> dict[str, str]:
    """With all the others that were asked for; some kinds have none."""
    others = MORE.get(run.kind)
    return rows(run) | (others(run) if others else {}) | which(run)


def to_hand_on(run: Run) -> dict[str, str]:
    """Everything but paths of this machine, which are nobody else's business."""
    return {name: value for name, value in everything(run).items() if not isinstance(value, OwnPath)}


def _retraining(run: Run) -> dict[str, str]:
    spec = run.spec
    rates = ", ".join(lane_name(rate) for rate in spec.learning_rates)
    return {
        "Photos": f"{run.dataset.title}, {count(len(run.dataset.labels), 'class')}",
        "Backbone": run.backbone_title,
        "Learning rate" if len(spec.learning_rates) == 1 else "Learning rates": rates,
        "Steps": f"{spec.steps:,}",
        "Device": spec.device.upper() + (f", {count(spec.threads, 'thread')}" if spec.threads else ""),
        "Batch": _batch(spec.train_batch_size),
        "Distortions": _distortions(spec),
        "Seed": str(spec.seed),
    }


def _batch(size: int) -> str:
    return "all photos" if size == -1 else f"{size:,}"


def _distortions(spec: RaceSpec | FineTuningSpec) -> str:
    """ "flip, crop 10%, brightness ±20%", or "none" """
    words = [
        "flip" if spec.flip_left_right else "",
        f"crop {spec.random_crop}%" if spec.random_crop else "",
        f"scale {spec.random_scale}%" if spec.random_scale else "",
        f"brightness ±{spec.random_brightness}%" if spec.random_brightness else "",
    ]
    return ", ".join(filter(None, words)) or "none"


def _more_of_retraining(run: Run) -> dict[str, str]:
    spec, row = run.spec, run.backbone
    return {
        "Validation batch": _batch(spec.validation_batch_size),
        "Testing batch": _batch(spec.test_batch_size),
        "Bottleneck cache": "read and kept" if spec.use_cache else "neither read nor kept",
        "Evaluated every": f"{spec.eval_step_interval:,} steps",
        "Validation and testing": f"{spec.validation_percentage}% and {spec.testing_percentage}% of the photos",
        "Weights": f"{row.source}. {row.licence}" if row else "deleted since",
        "Folder": OwnPath(run.dataset.root),
    }


def _mnist(run: Run) -> dict[str, str]:
    spec = run.spec
    networks = spec.networks
    return {
        "Data": catalog.digit_set(spec.data).title,
        "Networks": networks[0].title if len(networks) == 1 else str(len(networks)),
        "Epochs": str(spec.epochs),
        "Images": f"{spec.training_images:,}" if spec.training_images else "All",
        "Batch": _each(f"{network.batch_size:,}" for network in networks),
        "Learning rate": _each(f"{network.learning_rate:g}" for network in networks),
        "Device": spec.device.upper(),
        "Seed": str(spec.seed),
    }


def _more_of_mnist(run: Run) -> dict[str, str]:
    """How each network is made and learns, apart from its batch and its learning rate."""
    networks: list[catalog.Network] = list(run.spec.networks)
    made = [f"{each.title} ({layers.parameters(layers.costs(layers.read(each.layers))):,})" for each in networks]
    return {
        "Networks and parameters": ", ".join(made),
        "Optimizer": _each("Adam" if each.optimizer == catalog.ADAM else "SGD" for each in networks),
        "Schedule": _each(each.schedule.replace("_", " ") for each in networks),
        "Label smoothing": _each(f"{each.label_smoothing:g}" for each in networks),
        "Moved images": _each("yes" if each.augmentation else "no" for each in networks),
        "Held out": _each(f"{each.validation_images:,}" for each in networks),
    }


def _each(values: Iterable[str]) -> str:
    return ", ".join(dict.fromkeys(values))


def _imported(run: Run) -> dict[str, str]:
    steps = {lane: max(curve.step) for (lane, _), curve in run.story.curves.items() if curve.step}
    return {
        "Imported from": OwnPath(run.spec.source),
        "Lanes": ", ".join(run.lanes),
        "Last step": ", ".join(f"{step:,}" for step in dict.fromkeys(steps.values())),
    }


def _many_pictures(run: Run) -> dict[str, str]:
    return {
        "Pictures": f"{run.dataset.title}, {count(len(run.dataset.photos), 'picture')}",
        "Model": run.spec.model_title,
        "Device": run.spec.device.upper(),
    }


def _more_of_many_pictures(run: Run) -> dict[str, str]:
    return {"Folder": OwnPath(run.dataset.root), "Model's key": run.spec.model}


def _fine_tuning(run: Run) -> dict[str, str]:
    spec = run.spec
    return {
        "Photos": f"{run.dataset.title}, {count(len(run.dataset.labels), 'class')}",
        "Backbone": run.backbone_title,
        "Blocks that learn": ", ".join(run.titles.values()),
        "Learning rate of the blocks": f"{spec.body_learning_rate:g}",
        "Learning rate of the head": f"{spec.head_learning_rate:g}",
        "Epochs": f"{spec.epochs:,}",
        "Batch": f"{spec.batch_size:,}",
        "Distortions": _distortions(spec),
        "Memory limit": f"{spec.memory_limit:,} MB" if spec.memory_limit else "none",
        "Device": spec.device.upper(),
        "Seed": str(spec.seed),
    }


def _more_of_fine_tuning(run: Run) -> dict[str, str]:
    spec = run.spec
    return {
        "Optimiser": "gradient descent with momentum 0.9",
        "Batch normalisation": "in inference mode, folded into kernels and biases",
        "The head begins": "as it is after 300 steps on bottlenecks, for all depths alike",
        "Validation and testing": f"{spec.validation_percentage}% and {spec.testing_percentage}% of the photos",
        "Folder": OwnPath(run.dataset.root),
    }


def _batch_size(run: Run) -> dict[str, str]:
    spec = run.spec
    return {
        "Backbone": run.backbone_title,
        "Blocks that learn": choices.depth_title(spec.blocks),
        "Tried up to": f"{spec.largest:,}",
        "Memory limit": f"{spec.memory_limit:,} MB" if spec.memory_limit else "what is free",
        "Device": spec.device.upper(),
    }


def _more_of_batch_size(run: Run) -> dict[str, str]:
    return {"Pictures": "noise, of the backbone's size"}


def _learning_curve(run: Run) -> dict[str, str]:
    spec = run.spec
    return {
        "Photos": f"{run.dataset.title}, {count(len(run.dataset.labels), 'class')}",
        "Backbone": run.backbone_title,
        "Photos per class": ", ".join([*(f"{size:,}" for size in sorted(spec.sizes)), "all"]),
        "Trainings of each": count(spec.seeds, "seed"),
        "Learning rate": lane_name(spec.learning_rate),
        "Steps": f"{spec.steps:,}",
        "Batch": _batch(spec.train_batch_size),
        "Device": spec.device.upper(),
        "Seed": str(spec.seed) if spec.seeds == 1 else f"{spec.seed} to {spec.seed + spec.seeds - 1}",
    }


def _more_of_learning_curve(run: Run) -> dict[str, str]:
    spec = run.spec
    return {
        "Validation and testing": f"{spec.validation_percentage}% and {spec.testing_percentage}% of the photos",
        "Folder": OwnPath(run.dataset.root),
    }


KINDS: dict[str, Callable[[Run], dict[str, str]]] = {
    kinds.RETRAIN: _retraining,
    kinds.MNIST: _mnist,
    kinds.IMPORTED: _imported,
    kinds.CLASSIFY: _many_pictures,
    kinds.FINE_TUNE: _fine_tuning,
    kinds.BATCH_SIZE: _batch_size,
    kinds.LEARNING_CURVE: _learning_curve,
}
MORE: dict[str, Callable[[Run], dict[str, str]]] = {
    kinds.RETRAIN: _more_of_retraining,
    kinds.MNIST: _more_of_mnist,
    kinds.CLASSIFY: _more_of_many_pictures,
    kinds.FINE_TUNE: _more_of_fine_tuning,
    kinds.BATCH_SIZE: _more_of_batch_size,
    kinds.LEARNING_CURVE: _more_of_learning_curve,
}
