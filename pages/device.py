"""What is the machine doing now?"""

import streamlit as st

from ui import frame, parts
from ui.machine import device_strips, device_tabs

PURPOSE = "What this machine is doing while you train: load, memory, temperature and power, once a second."

header = frame.begin("Device", PURPOSE)
with header.container(horizontal=True, vertical_alignment="center"):
    window = device_strips.WINDOWS[parts.choice("Window", list(device_strips.WINDOWS), "device_window")]
    live = st.toggle("Live", value=True, key="device_live")

device_strips.show(window, live)
device_tabs.show(live)
