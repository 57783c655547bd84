"""Fills a form with the settings of a run, wherever its widgets have a place for them.

What is no usual step of a slider becomes one: the forms ask parts.copied for those.
"""

from pathlib import Path

import streamlit as st

from engine import photos, runs
from engine.contract import catalog, choices
from engine.contract.kinds.batch_size import BatchSizeSpec
from engine.contract.kinds.mnist import MnistSpec
from engine.contract.kinds.race import RaceSpec
from engine.digits import digits, network_text
from engine.errors import SpecError
from engine.machine import device
from engine.words import join, plain
from ui import lab, parts
from ui.mnist import mnist_form
from ui.retraining import learning_curve_form, retraining_form

# Of a retraining run: what widgets of the form are named after.
WIDGETS = (
    "steps",
    *choices.DISTORTIONS,
    "train_batch_size",
    "validation_batch_size",
    "test_batch_size",
    "validation_percentage",
    "testing_percentage",
    "eval_step_interval",
    "seed",
)
PLACED = (*WIDGETS, "backbone", "learning_rates", "device", "group")  # a group is no setting: it was run together


def fill(run: runs.Run) -> tuple[str, dict[str, str]]:
    """The page with the form, and its query. Raises SpecError where these settings cannot be asked for here."""
    if faults := run.spec.faults():
        raise SpecError(f"The settings of {run.title} cannot be copied. {' '.join(faults)}")
    if run.is_mnist:
        missing = _fill_comparison(run.spec)
    elif run.is_fine_tune:
        missing = _fill_fine_tuning(run)
    elif run.is_batch_size:
        missing = _fill_batch_size(run.spec)
    elif run.is_learning_curve:
        missing = _fill_learning_curve(run)
    else:
        missing = _fill_retraining(run)
    note = f"Filled in with the settings of {run.title}."
    st.session_state["_copied_from"] = plain(" ".join([note, *missing]))
    if device.has_gpu():
        st.session_state["device"] = run.spec.device
    elif run.spec.device == choices.GPU:
        st.session_state["_copied_from"] += " There is no GPU here: it runs on the CPU."
    if run.is_mnist:
        return "pages/mnist.py", {}
    return "pages/retraining.py", {"mode": retraining_form.mode_of(run)}


def _fill_retraining(run: runs.Run) -> list[str]:
    """Sentences about what the form has no place for."""
    spec, state = run.spec, st.session_state
    missing = _choose_photos(run)
    _choose_backbone(run, missing)
    if len(spec.learning_rates) == 1:
        state["learning_rate"] = spec.learning_rates[0]
    else:
        state["_lanes"] = list(range(1, len(spec.learning_rates) + 1))
        for lane, rate in zip(state["_lanes"], spec.learning_rates, strict=True):
            state[f"learning_rate_{lane}"] = rate
    rates = (*parts.copied("rates"), *spec.learning_rates)  # an earlier copy may still be in the other mode's sliders
    state["_copied"] = state.get("_copied", {}) | {"rates": rates, "steps": (spec.steps,)}
    for name in WIDGETS:
        state[name] = getattr(spec, name)
    usual = RaceSpec()._asdict()
    left_out = [name for name, value in spec._asdict().items() if name not in PLACED and value != usual[name]]
    if left_out:
        missing.append(f"The form has no place for {join(left_out)}: left out.")
    return missing


def _fill_fine_tuning(run: runs.Run) -> list[str]:
    spec, state = run.spec, st.session_state
    missing = _choose_photos(run)
    asked = {
        "tune_body": spec.body_learning_rate,
        "tune_head": spec.head_learning_rate,
        "tune_epochs": spec.epochs,
        "tune_batch": spec.batch_size,
    }
    state["_copied"] = state.get("_copied", {}) | {key: (value,) for key, value in asked.items()}
    state["_copied"] |= {"tune_blocks": spec.blocks}
    asked |= {"tune_blocks": list(spec.blocks), "tune_backbone": spec.backbone}
    asked |= {name: getattr(spec, name) for name in choices.DISTORTIONS}
    asked |= {"tune_memory": spec.memory_limit, "tune_seed": spec.seed}
    asked |= {f"tune_{name}": getattr(spec, name) for name in ("validation_percentage", "testing_percentage")}
    for key, value in asked.items():
        state[key] = value
    return missing


def _fill_batch_size(spec: BatchSizeSpec) -> list[str]:
    state = st.session_state
    state["_copied"] = state.get("_copied", {}) | {"batch_blocks": (spec.blocks,), "batch_largest": (spec.largest,)}
    asked = {"tune_backbone": spec.backbone, "batch_blocks": spec.blocks, "batch_largest": spec.largest}
    for key, value in (asked | {"batch_memory": spec.memory_limit}).items():
        state[key] = value
    return []


def _fill_learning_curve(run: runs.Run) -> list[str]:
    spec, state = run.spec, st.session_state
    missing = _choose_photos(run)
    _choose_backbone(run, missing)
    asked = {f"sizes_{name}": getattr(spec, name) for name in learning_curve_form.SLIDERS}
    state["_copied"] = state.get("_copied", {}) | {key: (value,) for key, value in asked.items()}
    state["_copied"] |= {"sizes_sizes": spec.sizes}
    asked |= {f"sizes_{name}": getattr(spec, name) for name in learning_curve_form.NUMBERS}
    for key, value in (asked | {"sizes_sizes": list(spec.sizes)}).items():
        state[key] = value
    return missing


def _choose_backbone(run: runs.Run, missing: list[str]) -> None:
    st.session_state["backbone"] = run.spec.backbone
    if run.backbone is None:
        missing.append(f"The backbone {run.spec.backbone} has been deleted since: choose another one.")


def _choose_photos(run: runs.Run) -> list[str]:
    try:
        root = Path(run.dataset.root)
    except (OSError, ValueError, LookupError, TypeError):  # a damaged dataset.json
        return ["Which photos it learned from can no longer be read: choose them."]
    found = next((source.key for source in photos.sources(lab.load_settings()) if source.root == root), "")
    if found:
        st.session_state["photos"] = found
    else:  # the form says what is wrong with a folder
        st.session_state["photos"] = retraining_form.FOLDER
        st.session_state["folder"] = str(root)
    return []


def _fill_comparison(spec: MnistSpec) -> list[str]:
    state, missing = st.session_state, []
    if spec.data in [source.key for source in digits.sources(lab.load_settings())]:
        state["digits"] = spec.data
    else:
        missing.append(f"The digits {spec.data} have been deleted since: choose others.")
    asked = {  # of all networks alike, where one of them has another figure of its own
        "batch_size": _of_all(spec, "batch_size", mnist_form.BATCHES[1:]),
        "learning_rate": _of_all(spec, "learning_rate", mnist_form.RATES),
    }
    state["batch_size"] = asked["batch_size"] or mnist_form.OWN
    state["network_learning_rate"] = asked["learning_rate"] or mnist_form.OWN
    names, own = [], {network.name: network for network in state.get("_own_networks", [])}
    for network in spec.networks:
        known = _known(network)
        if known is None or any(
            getattr(known, field) != value and not asked.get(field) for field, value in network._asdict().items()
        ):
            if known is not None:  # the catalogue's name stays the catalogue's
                title = network_text.plain(f"{network.title} of that run")
                network = network._replace(title=title, name=network_text.name_of(title))
            own[network.name] = network
        names.append(network.name)
    state["_own_networks"] = list(own.values())
    state["_own_networks_seen"] = list(own)
    state["networks"] = names
    state["_copied"] = state.get("_copied", {}) | {"epochs": (spec.epochs,)}
    state["_copied"] |= {"training_images": (spec.training_images,) if spec.training_images else ()}
    state["training_images"] = mnist_form.images_in_words(spec.training_images)
    state["epochs"], state["seed"] = spec.epochs, spec.seed
    return missing


def _known(network: catalog.Network) -> catalog.Network | None:
    """The catalogue's network of that name."""
    return next((row for row in catalog.NETWORKS if row.name == network.name), None)


def _of_all(spec: MnistSpec, field: str, offered: list[str]) -> str:
    """The option that sets this field of every network to what it is; "" where each has its own."""
    values = [getattr(network, field) for network in spec.networks]
    own = [getattr(_known(network) or network, field) for network in spec.networks]
    if values == own or len(set(values)) > 1:
        return ""
    return next((option for option in offered if float(option) == values[0]), "")
