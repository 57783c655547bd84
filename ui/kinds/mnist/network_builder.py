"""A network of the visitor's own: one row of widgets a layer, what each costs beside it, and what is wrong at once.

The draft is mirrored into the address as ?network=…, so that a reload and a shared link keep it.
"""

import os
from collections.abc import Sequence

import streamlit as st

from engine.contract import catalog, layers, specs
from engine.contract.kinds.mnist import BATCH_LIMIT, network_faults
from engine.contract.run_folder import LabHome
from engine.digits import network_text
from engine.words import percent
from ui import lab
from ui.kinds.mnist import network_layers

KINDS = {
    layers.CONV: "Convolution",
    layers.POOL: "Max pooling",
    layers.BATCHNORM: "Batch normalisation",
    layers.RELU: "ReLU",
    layers.DROPOUT: "Dropout",
    layers.AVERAGE: "Average",
    layers.FLATTEN: "Flatten",
    layers.DENSE: "Dense",
}
USUAL = {layers.CONV: (32, 3), layers.POOL: (2,), layers.DROPOUT: (0.2,), layers.DENSE: (100,)}  # of a new layer
RATES = [float(f"{mantissa}e{exponent}") for exponent in range(-5, 0) for mantissa in (1, 2, 5)] + [1.0]
OPTIMIZERS = {catalog.ADAM: "Adam", catalog.SGD: "SGD"}
SCHEDULES = {catalog.CONSTANT: "Constant", catalog.ONE_CYCLE: "One cycle"}
FIRST = "coursework_as_meant"  # what a builder opened for the first time begins with
EARLIER_RUNS = 200  # of which own networks are looked for

# Widget key -> field of catalog.Network
FIELDS = {
    "own_title": "title",
    "own_optimizer": "optimizer",
    "own_learning_rate": "learning_rate",
    "own_schedule": "schedule",
    "own_batch_size": "batch_size",
    "own_label_smoothing": "label_smoothing",
    "own_augmentation": "augmentation",
    "own_validation_images": "validation_images",
}


def own() -> list[catalog.Network]:
    """The networks that this visitor added to the comparison, oldest first."""
    return list(st.session_state.get("_own_networks", []))


def show() -> None:
    """The builder, redrawn by itself while a layer changes; the page is drawn anew when a network is added."""
    st.fragment(_draw)()


def _draw() -> None:
    refused = _take_from_address()
    network = _read_widgets()
    with st.container(border=True, gap="small", key="builder"):
        st.markdown("**Build a network**")
        if refused:
            st.warning(f"The network in the address cannot be read. {refused}", icon=":material/info:")
        with st.container(horizontal=True, gap="small", vertical_alignment="bottom"):
            _begin_with(network)
            st.text_input("Name", key="own_title", max_chars=network_text.TITLE_LIMIT, width=260)
        costs = _draw_layers(layers.read(network.layers) if network.layers else [])
        _draw_text(network)
        st.markdown("**How it is trained**")
        _draw_recipe()
        _draw_end(network, costs)
    text = network_text.write(network)
    st.session_state["_draft_text"] = text
    if st.query_params.get("network") != text:
        st.query_params["network"] = text


# --- the draft -------------------------------------------------------------------------------------------------------


def _take_from_address() -> str:
    """Begin with what the address says where that is new; returns what is wrong with it, "" if nothing."""
    asked = st.query_params.get("network", "")
    refused = ""
    if asked and asked != st.session_state.get("_draft_text"):
        try:
            _take(network_text.read(asked))
        except ValueError as error:
            refused = str(error)
    if "_draft" not in st.session_state:
        first = catalog.network(FIRST)
        _take(first._replace(title=_title_after(first)))
    return refused


def _take(network: catalog.Network) -> None:
    """Make this network the draft; every widget shows it from now on."""
    st.session_state["_draft"] = network
    rows = [_new_row() for _ in layers.read(network.layers)]
    st.session_state["_draft_rows"] = rows  # an id for each layer, which stays with it when it moves
    st.session_state["_draft_rates"] = sorted({*RATES, network.learning_rate})
    for key, field in FIELDS.items():
        st.session_state[key] = getattr(network, field)
    st.session_state.pop("_text_refused", None)


def _new_row() -> int:
    st.session_state["_row_count"] = st.session_state.get("_row_count", 0) + 1
    return st.session_state["_row_count"]


def _read_widgets() -> catalog.Network:
    """The draft with what the widgets say now; a widget that was not drawn for a while is set to the draft again."""
    draft = st.session_state["_draft"]
    said = {}
    for key, field in FIELDS.items():
        value = st.session_state.setdefault(key, getattr(draft, field))
        said[field] = getattr(draft, field) if value is None else value
    said["title"] = network_text.plain(said["title"])
    said["label_smoothing"] = round(said["label_smoothing"], 4)
    given = layers.read(draft.layers) if draft.layers else []
    now = [_row_now(row, each) for row, each in zip(st.session_state["_draft_rows"], given, strict=True)]
    network = draft._replace(**said, layers=layers.write(now), source=network_text.SOURCE)
    network = network._replace(name=network_text.name_of(network.title))
    st.session_state["_draft"] = network
    return network


def _row_now(row: int, each: layers.Layer) -> layers.Layer:
    kind = st.session_state.setdefault(f"layer_{row}_kind", each.kind)
    values = layers.arguments(each) if kind == each.kind else USUAL.get(kind, ())
    found = []
    for (word, _, _), value in zip(layers.ARGUMENTS[kind], values, strict=True):
        typed = st.session_state.setdefault(f"layer_{row}_{kind}_{word}", value)
        found.append(value if typed is None else round(typed, 4))
    return layers.layer(kind, *found)


def _change_rows(change: str, row: int) -> None:
    """Before the next drawing: move, add or remove a layer."""
    rows = st.session_state["_draft_rows"]
    each = layers.read(st.session_state["_draft"].layers) if rows else []
    at = rows.index(row) if row in rows else -1
    if change == "remove":
        del rows[at], each[at]
    elif change == "add":
        rows.insert(at + 1, _new_row())
        each.insert(at + 1, layers.layer(layers.RELU))
    else:
        to = at + (1 if change == "down" else -1)
        rows[at], rows[to] = rows[to], rows[at]
        each[at], each[to] = each[to], each[at]
    st.session_state["_draft"] = st.session_state["_draft"]._replace(layers=layers.write(each))


# --- what to begin with ----------------------------------------------------------------------------------------------


def _begin_with(network: catalog.Network) -> None:
    offered = {row.name: row for row in catalog.NETWORKS}
    offered |= {f"own {row.name}": row for row in own()}
    offered |= {f"run {run_id} {row.name}": row for run_id, row in _of_earlier_runs()}
    st.selectbox(
        "Begin with",
        list(offered),
        index=None,
        format_func=lambda key: offered[key].title + (" · earlier run" if key.startswith("run ") else ""),
        placeholder="A known network",
        key="begin_with",
        on_change=_begin,
        args=(offered,),
        width=260,
    )


def _begin(offered: dict[str, catalog.Network]) -> None:
    chosen = offered.get(st.session_state["begin_with"] or "")
    if chosen is not None:
        known = chosen in catalog.NETWORKS
        _take(chosen._replace(title=_title_after(chosen)) if known else chosen)


def _title_after(row: catalog.Network) -> str:
    return network_text.plain(f"My {row.title[:1].lower()}{row.title[1:]}")


def _of_earlier_runs() -> list[tuple[str, catalog.Network]]:
    """Networks that are in no catalogue, each from the newest run that has it."""
    home = lab.home().path
    found: dict[str, tuple[str, catalog.Network]] = {}
    try:
        names = sorted((name for name in os.listdir(lab.home().runs) if not name.startswith(".")), reverse=True)
    except FileNotFoundError:
        return []
    added = {network_text.write(row) for row in own()}
    for run_id in names[:EARLIER_RUNS]:
        for row in _own_of(home, run_id):
            text = network_text.write(row)
            if text not in added:
                found.setdefault(text, (run_id, row))
    return list(found.values())


@st.cache_data(max_entries=2000, show_spinner=False)
def _own_of(home_path: str, run_id: str) -> list[catalog.Network]:
    """A spec is written once and never changed, and so is what is known of it."""
    try:
        spec = specs.read(LabHome(home_path).run(run_id).spec)
    except (OSError, ValueError, KeyError, TypeError):
        return []
    known = {row.name for row in catalog.NETWORKS}
    return [row for row in getattr(spec, "networks", ()) if row.name not in known and not network_faults(row)]


# --- layers ----------------------------------------------------------------------------------------------------------


def _draw_layers(rows: Sequence[layers.Layer]) -> list[layers.Cost]:
    """Every layer with what it costs; returns the costs, which end before the first layer that is wrong."""
    costs, wrong = _costs(rows)
    with st.container(gap=6, key="builder_layers"):
        for number, (row, each) in enumerate(zip(st.session_state["_draft_rows"], rows, strict=True), 1):
            with st.container(horizontal=True, vertical_alignment="center", gap="small", key=f"layer_{row}"):
                _draw_layer(number, row, each, len(rows))
                if number <= len(costs):
                    st.caption(_in_words(costs[number - 1]), width="stretch")
                elif number == len(costs) + 1:
                    st.caption(f":red[{wrong}]", width="stretch")
                else:
                    st.caption("–", width="stretch")
        if not rows:
            st.button("Add a layer", key="add_first", icon=":material/add:", on_click=_change_rows, args=("add", 0))
    return costs


def _draw_layer(number: int, row: int, each: layers.Layer, count: int) -> None:
    st.selectbox(
        f"Layer {number}", list(KINDS), format_func=KINDS.__getitem__, key=f"layer_{row}_kind",
        label_visibility="collapsed", width=180,
    )  # fmt: skip
    for word, low, high in layers.ARGUMENTS[each.kind]:
        share = each.kind == layers.DROPOUT
        st.number_input(
            f"Layer {number}, {word}", low, high, step=0.05 if share else 1, format="%.2f" if share else "%d",
            key=f"layer_{row}_{each.kind}_{word}", label_visibility="collapsed", width=112,
        )  # fmt: skip
    with st.container(horizontal=True, gap=None, width="content", key=f"layer_{row}_acts"):
        for change, icon, words, disabled in (
            ("up", ":material/arrow_upward:", f"Move layer {number} up", number == 1),
            ("down", ":material/arrow_downward:", f"Move layer {number} down", number == count),
            ("add", ":material/add:", f"Add a layer below layer {number}", count >= layers.LAYER_LIMIT),
            ("remove", ":material/close:", f"Remove layer {number}", False),
        ):
            st.button(
                "", key=f"layer_{row}_{change}", icon=icon, help=words, type="tertiary", disabled=disabled,
                on_click=_change_rows, args=(change, row),
            )  # fmt: skip


def _costs(rows: Sequence[layers.Layer]) -> tuple[list[layers.Cost], str]:
    """The costs up to the first layer that cannot follow the one before it, and what is wrong with that one."""
    wrong = ""
    for end in range(len(rows), -1, -1):
        try:
            return layers.costs(list(rows[:end])), wrong
        except ValueError as error:
            wrong = str(error)
    return [], wrong


def _in_words(cost: layers.Cost) -> str:
    each = cost.layer
    what = {
        layers.CONV: f"{each.filters:,} filters of {each.kernel} × {each.kernel} ",
        layers.POOL: f"the largest of {each.kernel} × {each.kernel} ",
        layers.DROPOUT: f"{each.rate * 100:g}% set to zero while learning ",
        layers.DENSE: f"{each.filters:,} units ",
    }.get(each.kind, "")
    words = [f"{what}→ {network_layers.shape(cost.shape)}"]
    if cost.parameters:
        words.append(f"{cost.parameters:,} parameters")
    if cost.multiply_adds:
        padding = f", {percent(cost.on_padding / cost.multiply_adds)} on padding" if cost.on_padding else ""
        words.append(f"{cost.multiply_adds:,} multiply-adds{padding}")
    return " · ".join(words)


def _draw_text(network: catalog.Network) -> None:
    """The layers as text, which may be typed over; a text that cannot be read stays until it can, or a row changes."""
    refused = st.session_state.get("_text_refused")
    if refused and refused[1] == network.layers:
        message = refused[0]
    else:
        message, st.session_state["layers_text"] = "", network.layers
        st.session_state.pop("_text_refused", None)
    st.text_area(
        "Layers as text", key="layers_text", height=80, max_chars=network_text.TEXT_LIMIT, on_change=_type,
        help="A quick way for people who type: conv FILTERS KERNEL, pool SIZE, batchnorm, relu, dropout RATE, "
        "average, flatten, dense UNITS, separated by commas",
    )  # fmt: skip
    if message:
        st.error(message)


def _type() -> None:
    draft = st.session_state["_draft"]
    try:
        rows = network_text.read_layers(st.session_state["layers_text"])
    except ValueError as error:
        st.session_state["_text_refused"] = (str(error), draft.layers)
        return
    st.session_state.pop("_text_refused", None)
    st.session_state["_draft"] = draft._replace(layers=layers.write(rows))
    st.session_state["_draft_rows"] = [_new_row() for _ in rows]


# --- recipe and end --------------------------------------------------------------------------------------------------


def _draw_recipe() -> None:
    with st.container(horizontal=True, gap="medium", key="builder_recipe"):
        st.segmented_control(
            "Optimizer", [catalog.ADAM, catalog.SGD], format_func=OPTIMIZERS.__getitem__,
            required=True, key="own_optimizer",
        )  # fmt: skip
        st.segmented_control(
            "Schedule", [catalog.CONSTANT, catalog.ONE_CYCLE], key="own_schedule", required=True,
            format_func=SCHEDULES.__getitem__,
            help="One cycle climbs to the learning rate and falls to nearly 0",
        )  # fmt: skip
        st.select_slider(
            "Learning rate", st.session_state["_draft_rates"], None, lambda rate: f"{rate:g}", key="own_learning_rate",
            width=240,
        )  # fmt: skip
        st.number_input("Batch", 1, BATCH_LIMIT, key="own_batch_size", width=130)
        st.number_input(
            "Label smoothing", 0.0, 0.5, step=0.01, format="%.2f", key="own_label_smoothing", width=140,
            help="The share of the target that goes to all classes alike",
        )  # fmt: skip
        st.number_input(
            "Held out", 0, 50_000, step=1000, key="own_validation_images", width=140,
            help="Images kept from the end of the training set for validation",
        )  # fmt: skip
        st.toggle(
            "Moved images", key="own_augmentation",
            help="Every image is turned, shifted and stretched a little each time it is learned from",
        )  # fmt: skip


def _draw_end(network: catalog.Network, costs: Sequence[layers.Cost]) -> None:
    """The totals, what is wrong beyond the row that shows it, and the way into the comparison."""
    faults = network_faults(network)
    if not network.layers:
        faults = layers.faults([])
    if network.title in [row.title for row in catalog.NETWORKS] or network.name in [
        row.name for row in catalog.NETWORKS
    ]:
        faults.append(f"{network.title} is a network of the catalogue; give yours another name.")
    if not network.title:
        faults.append("The network needs a name.")
    st.markdown(f"**In all:** {network_layers.totals(costs)}")
    whole = len(costs) == len(st.session_state["_draft_rows"])
    for fault in faults[0 if whole else 1 :]:  # the first is the one that its row shows
        st.error(fault)
    if st.button("Add to the comparison", key="add_network", icon=":material/add:", disabled=bool(faults)):
        kept = [row for row in own() if row.name != network.name]
        st.session_state["_own_networks"] = [*kept, network]
        st.rerun()  # the whole page: its form lists the network
    mine = own()
    if mine:
        with st.container(horizontal=True, gap="small", vertical_alignment="center", key="own_networks"):
            st.caption("Added:", width="content")
            for row in mine:
                if st.button(
                    row.title, key=f"drop_{row.name}", icon=":material/close:", type="tertiary",
                    help=f"Take {row.title} out of the comparison",
                ):  # fmt: skip
                    st.session_state["_own_networks"] = [other for other in mine if other.name != row.name]
                    st.rerun()
