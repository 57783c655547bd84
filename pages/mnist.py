"""Which network is better at digits, and why?"""

import streamlit as st

from ui import frame, run_panel
from ui.kinds.mnist import form as mnist_form
from ui.kinds.mnist import network_builder

PURPOSE = "Train several networks on the same digits with the same seed, and see which one earns its training time."

run_id = st.query_params.get("run", "")
frame.begin("MNIST comparison", PURPOSE, shown_run=run_id)
run, missing = run_panel.find(run_id, "pages/mnist.py")
building = run is None and "build" in st.query_params


def build() -> None:
    run_panel.forget_run()
    st.query_params["build"] = "1"


def stop_building() -> None:
    for name in ("build", "network"):  # the second is the builder's draft
        st.query_params.pop(name, None)


form_column, result_column = st.columns([1, 3.1], gap="medium")
form = None
with form_column:
    place = run_panel.form_place(run)
    if place is not None:
        with place:
            form = mnist_form.show("")
            if building:
                st.button("Close the builder", key="close_builder", type="tertiary", on_click=stop_building)
            else:
                st.button("Build a network", key="build", type="tertiary", icon=":material/build:", on_click=build)

with result_column:
    if form is not None and form.start:
        stop_building()
        mnist_form.start(form)
    if missing:
        st.error(missing, icon=":material/error:")
    if run is not None:
        run_panel.show(run.id)
    elif building:
        network_builder.show()
    elif form is not None:
        mnist_form.describe(form)
