"""What a network is made of: its layers with shapes and costs, how it is trained, and the same as Keras code."""

from collections.abc import Sequence

import streamlit as st

from engine.charts import mnist_charts
from engine.contract import catalog, layers
from engine.digits import keras_code
from engine.words import count, number, percent
from ui import lab, sorting

OPTIMIZERS = {catalog.ADAM: "Adam", catalog.SGD: "SGD, momentum 0.9"}
SCHEDULES = {catalog.CONSTANT: "Constant", catalog.ONE_CYCLE: "One cycle: up to it, then down to nearly 0"}


def show(networks: Sequence[catalog.Network]) -> None:
    """One network at a time, chosen by its title; at least one. Their layers are known to be right."""
    named = {network.name: network for network in networks}
    if st.session_state.get("layers_of") not in named:
        st.session_state["layers_of"] = networks[0].name  # also where the shown one was taken out of the comparison
    chosen: str | None = networks[0].name
    if len(networks) > 1:
        chosen = st.segmented_control(
            "Network", list(named), format_func=lambda name: named[name].title, required=True, key="layers_of",
            label_visibility="collapsed", wrap=True,
        )  # fmt: skip
    network = named[chosen or networks[0].name]
    costs = layers.costs(layers.read(network.layers))
    st.markdown(f"**{network.title}:** {totals(costs)}")
    st.dataframe(
        sorting.by_number(table(costs)),
        hide_index=True,
        height="content",
        placeholder="–",
        column_config={
            "#": st.column_config.Column(width=36),
            "Layer": st.column_config.Column(width=270),
            **{name: st.column_config.Column(alignment="right") for name in ("Output", "Parameters")},
            "Multiply-adds": st.column_config.Column(alignment="right", help="For one image"),
            "On padding": st.column_config.Column(
                alignment="right", help="Share of the multiply-adds that meet a zero added around the image"
            ),
        },
        key="layer_table",
        alt=f"{count(len(costs), 'layer')} of {network.title}; {totals(costs)}",
    )
    if any(cost.multiply_adds for cost in costs):
        st.caption("Multiply-adds of each layer for one image; gray is what meets padding.")
        st.vega_lite_chart(
            mnist_charts.layer_bars(keras_code.working(costs), lab.is_dark()),
            width="stretch",
            key="layer_bars",
            alt=f"Multiply-adds by layer: {mnist_charts.layer_bars_in_words(keras_code.working(costs))}",
        )
    left, right = st.columns([1, 1.3], gap="medium")
    with left:
        st.markdown("**How it is trained**")
        st.table(recipe(network), hide_header=True, hide_index=True, border="horizontal")
        st.caption(f"{network.source}.")
    with right:
        st.markdown("**The layers as text, for the builder**")
        st.code(network.layers, language=None, wrap_lines=True)
        st.markdown("**The same in Keras**")
        st.code(keras_code.network(network), language=None, wrap_lines=True)  # the colours of tokens fail WCAG AA


def table(costs: Sequence[layers.Cost]) -> list[dict[str, str | None]]:
    """One row a layer, in words."""
    return [
        {
            "#": number(place),
            "Layer": keras_code.layer(cost.layer),
            "Output": shape(cost.shape),
            "Parameters": number(cost.parameters) if cost.parameters else None,
            "Multiply-adds": number(cost.multiply_adds) if cost.multiply_adds else None,
            "On padding": percent(cost.on_padding / cost.multiply_adds) if cost.on_padding else None,
        }
        for place, cost in enumerate(costs, 1)
    ]


def shape(sides: Sequence[int]) -> str:
    """28 × 28 × 32, or 1,024"""
    return " × ".join(f"{side:,}" for side in sides)


def totals(costs: Sequence[layers.Cost]) -> str:
    """What the whole network costs, a sentence."""
    work, padding = layers.multiply_adds(list(costs)), sum(cost.on_padding for cost in costs)
    share = f", {percent(padding / work)} of them on padding" if padding else ""
    return f"{layers.parameters(list(costs)):,} parameters, {work:,} multiply-adds for one image{share}."


def recipe(network: catalog.Network) -> list[dict[str, str]]:
    """How it is trained, a row for each setting."""
    rows = {
        "Optimizer": OPTIMIZERS[network.optimizer],
        "Learning rate": f"{network.learning_rate:g}",
        "Schedule": SCHEDULES[network.schedule],
        "Batch": count(network.batch_size, "image"),
        "Label smoothing": f"{network.label_smoothing * 100:g}%" if network.label_smoothing else "None",
        "Moved images": "Yes" if network.augmentation else "No",
        "Held out": f"The last {count(network.validation_images, 'image')}" if network.validation_images else "None",
        "Suggested": count(network.epochs, "epoch"),
    }
    return [{"Setting": name, "Value": value} for name, value in rows.items()]
