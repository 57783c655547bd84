"""Blocks (engine/run_views/blocks.py) as a page draws them."""

import streamlit as st

from engine.charts import base
from engine.kinds.blocks import Block, Chart, Pictures, Table, Text
from engine.words import plain
from ui import lab, sorting

PICTURE_WIDTH = 110  # pixels


def draw(block: Block, key: str, enlarged: float = 1.0, light: bool = False) -> None:
    """`key`: its own on the page, and the same however often it is drawn; `enlarged`: for charts on a large screen.

    `light`: tables that only stand there, for pages with many of them.
    """
    if isinstance(block, Text):
        st.markdown(block.markdown)
        return
    if block.title:
        st.markdown(f"**{plain(block.title)}**")
    match block:
        case Chart():
            spec = base.enlarged(block.draw(lab.is_dark()), enlarged)
            st.vega_lite_chart(spec, width="stretch", key=key, alt=block.alt)
        case Table() if enlarged > 1 or light:
            # Its letters grow with the page's; a data frame's are painted in one size, which costs a tenth of a second.
            st.table(
                [{plain(name): plain(words or "–") for name, words in row.items()} for row in block.rows],
                hide_index=True,
                border="horizontal",
            )
        case Table():
            said = [", ".join(f"{name} {words or 'none'}" for name, words in row.items()) for row in block.rows]
            st.dataframe(
                sorting.by_number(block.rows),
                hide_index=True,
                height="content" if len(block.rows) <= 12 else 470,
                placeholder="–",
                key=key,
                alt=f"{'; '.join(said)}.",
            )
        case Pictures():
            with st.container(horizontal=True, gap="small", key=key):
                for picture in block.pictures:
                    with st.container(width=PICTURE_WIDTH + 20, gap=None):
                        st.image(picture.file, width=PICTURE_WIDTH, alt=picture.alt)
                        st.caption(plain(picture.words))
    if block.note:
        st.caption(plain(block.note))
