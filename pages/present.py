"""What should others see? One question or run a screen: ?q=<number>, ?run=<id>, or ?runs=<id>,<id>."""

import streamlit as st

from ui.questions import present

ids = [each for each in st.query_params.get("runs", st.query_params.get("run", "")).split(",") if each]
if ids:
    screens = present.of_runs(ids)
    typed = st.query_params.get("at", "1")
    at = int(typed) - 1 if typed.isdecimal() else 0
else:
    screens = present.of_questions()
    asked = {"q": st.query_params.get("q", "")}
    at = next((place for place, screen in enumerate(screens) if screen.address == asked), 0)
present.show(screens, min(max(at, 0), len(screens) - 1))
