"""Widgets -> the spec of a comparison of networks. What is chosen here is looked at before anything starts."""

from dataclasses import dataclass
from pathlib import Path

import streamlit as st

from engine.contract import catalog
from engine.contract.kinds.mnist import MnistSpec
from engine.digits import digits, network_text
from engine.errors import DigitsError
from engine.kinds.mnist import forecast
from engine.runs import Run
from engine.words import count, duration
from ui import lab, parts
from ui.kinds.mnist import network_builder, network_layers
from ui.kinds.mnist import results as mnist_results

MODES = {"": "MNIST comparison"}  # one form alone on its page
UPLOAD = "an upload"  # option beside the names of sets
OWN = "Own"  # each network's own recipe
IMAGES = {"5k": 5_000, "20k": 20_000, "All": 0}
BATCHES = [OWN, "32", "128", "512"]
EPOCHS = (1, 30)
RATES = [f"{m * 10.0**exponent:.5f}".rstrip("0") for exponent in range(-5, 0) for m in (1, 2, 5)] + ["1"]


@dataclass(frozen=True)
class Form:
    spec: MnistSpec
    data: digits.Source | None  # None where an upload is still to come
    start: bool  # the button was pressed, and nothing is wrong


def show(mode: str) -> Form:
    """The form of a comparison, in the place where it is called."""
    parts.say_copied()
    data = _choose_data()
    networks = _choose_networks()
    usual = MnistSpec()
    most = max(EPOCHS[1], *parts.copied("epochs"), 1)
    epochs = st.slider("Epochs", EPOCHS[0], most, usual.epochs, key="epochs", persist_state="session")
    known_images = IMAGES | {images_in_words(number): number for number in parts.copied("training_images")}
    images = st.segmented_control(
        "Training images",
        list(known_images),
        default="All",
        required=True,
        key="training_images",
        persist_state="session",
    )
    batch = st.segmented_control(
        "Batch", BATCHES, default=OWN, required=True, key="batch_size", persist_state="session",
        help="Own: as many images at a time as each network's recipe says",
    )  # fmt: skip
    run_on = parts.device_choice()
    with st.expander("More settings", type="compact", key="more_mnist_settings"):
        rate = st.select_slider(
            "Learning rate", [OWN, *RATES], OWN,
            key="network_learning_rate", persist_state="session", help="Own: what each network's recipe says",
        )  # fmt: skip
        seed = st.number_input("Seed", 0, 2**31 - 1, usual.seed, key="seed", persist_state="session")
    if batch != OWN:
        networks = [network._replace(batch_size=int(batch)) for network in networks]
    if rate != OWN:
        networks = [network._replace(learning_rate=float(rate)) for network in networks]
    spec = MnistSpec(
        data=data.key if data else usual.data,
        networks=tuple(networks),
        training_images=known_images[images],
        epochs=epochs,
        seed=seed,
        device=run_on,
    )
    faults = spec.faults()
    words = f"Train {networks[0].title}" if len(networks) == 1 else "Start comparison"
    start = parts.start_button(words, faults, ready=data is not None and data.path is not None)
    if not faults:
        st.caption(_cost(spec))
    return Form(spec, data, start)


def images_in_words(number: int) -> str:
    """The option that stands for so many training images, 0 for all: "5k", "12,345"."""
    return next((words for words, known in IMAGES.items() if known == number), f"{number:,}")


def start(form: Form) -> None:
    """Queue the run and make it the page's address; the sentence of what is wrong otherwise."""
    parts.start_run(form.spec)


def describe(form: Form) -> None:
    """What stands in the place of results before anything starts: where they will be, the networks, the best so far."""
    if form.data is None:
        parts.empty("Your own digits", digits.ACCEPTED, 300)
    elif form.data.path is None:
        parts.fetch(form.data.key, form.data.title, form.data.attribution)
    else:
        title = "The next comparison" if any(row.networks for row in lab.rows()) else "Nothing trained yet"
        parts.empty(title, "Curves of every chosen network appear here as soon as the first batch is done.", 300)
    if form.spec.networks:
        network_layers.show(list(form.spec.networks))
    mnist_results.show_leaderboard(titled=True)


def _choose_networks() -> list[catalog.Network]:
    own = network_builder.own()
    known = {network.name: network for network in [*catalog.NETWORKS, *own]}
    usual = [network.name for network in MnistSpec().networks]
    chosen = st.session_state.get("networks", usual)
    new = [network.name for network in own if network.name not in st.session_state.get("_own_networks_seen", [])]
    st.session_state["_own_networks_seen"] = [network.name for network in own]
    # What was just built is chosen; what is no longer there cannot be.
    wanted = [name for name in [*chosen, *new] if name in known]
    if wanted != chosen or "networks" not in st.session_state:
        st.session_state["networks"] = wanted
    picked = st.pills(
        "Networks",
        list(known),
        selection_mode="multi",
        format_func=lambda name: known[name].title,
        key="networks",
        persist_state="session",
    )
    return [network for network in known.values() if network.name in picked]  # as listed, not as clicked


def _choose_data() -> digits.Source | None:
    found = {source.key: source for source in digits.sources(lab.load_settings())}
    titles = {key: source.title for key, source in found.items()} | {UPLOAD: "Upload digits"}
    if wanted := st.session_state.pop("_choose_digits", ""):
        st.session_state["digits"] = wanted  # a set that was uploaded just now
    key = st.selectbox("Data", list(titles), format_func=titles.__getitem__, key="digits", persist_state="session")
    if key != UPLOAD:
        return found[key]
    given = st.file_uploader("One .npz, or two or four IDX files", accept_multiple_files=True, key="digit_files")
    if not st.button("Keep these files", key="keep_digits", width="stretch", disabled=not given):
        return None
    bar = st.progress(0.0, text="Reading")

    def progress(done: int, total: int) -> None:
        bar.progress(min(1.0, done / max(1, total)), text="Reading")

    try:
        name = digits.keep_upload([(each.name, each) for each in given], Path(lab.home().datasets), progress)
    except DigitsError as error:
        bar.empty()
        st.error(str(error), icon=":material/error:")
        return None
    st.session_state["_choose_digits"] = name
    st.rerun()


def _cost(spec: MnistSpec) -> str:
    expected, where = forecast.expected(lab.rows(), spec), spec.device.upper()
    known = len(spec.networks) - len(expected.unknown)
    if not known:
        return f"The first run measures how long it takes on this {where}."
    if not expected.unknown:
        what = f"{count(known, 'network')}, about" if known > 1 else "About"
        return f"{what} {duration(expected.seconds)} on this {where}, as measured here."
    return (
        f"About {duration(expected.seconds)} on this {where} without {' and '.join(expected.unknown)}, "
        "which this run is the first to measure."
    )


def fill(run: Run[MnistSpec]) -> list[str]:
    """Choose what a run was asked for; sentences about what the form has no place for."""
    spec = run.spec
    state, missing = st.session_state, []
    if spec.data in [source.key for source in digits.sources(lab.load_settings())]:
        state["digits"] = spec.data
    else:
        missing.append(f"The digits {spec.data} have been deleted since: choose others.")
    asked = {  # of all networks alike, where one of them has another figure of its own
        "batch_size": _of_all(spec, "batch_size", BATCHES[1:]),
        "learning_rate": _of_all(spec, "learning_rate", RATES),
    }
    state["batch_size"] = asked["batch_size"] or OWN
    state["network_learning_rate"] = asked["learning_rate"] or OWN
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
    images = (spec.training_images,) if spec.training_images else ()
    parts.copy({"epochs": (spec.epochs,), "training_images": images})
    state["training_images"] = images_in_words(spec.training_images)
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


def mode_of(run: Run[MnistSpec]) -> str:
    return ""
