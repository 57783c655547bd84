"""What should others see? One run a screen: ?run=<id>, or ?runs=<id>,<id>."""

import streamlit as st

from ui import frame, present

ids = [each for each in st.query_params.get("runs", st.query_params.get("run", "")).split(",") if each]
if ids:
    typed = st.query_params.get("at", "1")
    at = int(typed) - 1 if typed.isdecimal() else 0
    present.show(present.of_runs(ids), min(max(at, 0), len(ids) - 1))
else:
    frame.begin("Present", "A run on a screen of its own, for others to look at.")
    st.markdown("**Nothing to show yet.** Choose runs on the page Runs, then Present.")
    st.page_link("pages/runs.py", label="Runs", icon=":material/arrow_forward:", icon_position="right")
