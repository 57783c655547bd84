"""What trying batch sizes shows below its card: which size to take, two curves, and tabs."""

import streamlit as st

from engine import runs
from engine.charts import fine_tuning_charts
from engine.contract.kinds.batch_size import BatchSizeResult, BatchTried
from engine.kinds import settings as run_settings
from engine.kinds.batch_size import batch_sizes, tables
from engine.words import count, many, size
from ui import lab, parts, sorting
from ui.choices import foresight
from ui.machine import machine_tab

PAGE = "pages/retraining.py"
CONTENTS = CONTENTS_CANCELLED = ""  # there is nothing to download
LOST = "The sizes that were tried are below."


def show(run: runs.Run) -> None:
    story, taken = run.story, batch_sizes.recommend(run)
    if taken:
        st.markdown(f"**{taken.conclusion}** {taken.reasons}")
    tried = batch_sizes.tried(story)
    if tried:
        result = story.last(BatchSizeResult)
        limit = result.memory_limit_bytes if result else 1_000_000 * run.spec.memory_limit
        words = "; ".join(batch_sizes.in_words(each) for each in tried)
        for column, what, title in zip(
            st.columns(2, gap="medium"), ("memory", "speed"), ("Memory", "Speed"), strict=True
        ):
            with column:
                st.markdown(f"**{title} against the batch size**")
                chart = fine_tuning_charts.against_batch(
                    tried, what, limit, taken.batch_size if taken else 0, lab.is_dark()
                )
                st.vega_lite_chart(chart, width="stretch", key=f"batch_{what}", alt=f"{words}.")
    elif run.is_active:
        parts.empty("The first size is being tried", "A point appears for each size, at most some seconds apart.", 240)
    parts.tabs(
        {
            "Results": lambda: _results(run),
            "Machine": lambda: machine_tab.show(run),
            "Settings": lambda: _settings(run),
            "Log": lambda: parts.log(run),
        },
        "batch_tabs",
    )


def time_left(run: runs.Run, now: float) -> str:
    tried = len(run.story.every(BatchTried))
    return f"{count(tried, 'size')} tried" if tried else "starting the first"


note = time_left


def _results(run: runs.Run) -> None:
    tried = batch_sizes.tried(run.story)
    if not tried:
        st.caption("Each size has a row here once it was tried." if run.is_active else "No size was tried.")
        return
    st.caption("Peak memory is that of the process, TensorFlow included; on a GPU that of its memory.")
    table = tables.sizes(tried)
    right = {name: st.column_config.Column(alignment="right") for name in ("Batch size", "Peak memory", "Speed")}
    right["Why not"] = st.column_config.Column(width="large")
    st.dataframe(
        sorting.by_number(table), hide_index=True, height="content", placeholder="–",
        column_config=right, key="batch_table",
        alt="; ".join(batch_sizes.in_words(each) for each in tried) + ".",
    )  # fmt: skip


def _settings(run: runs.Run) -> None:
    result = run.story.last(BatchSizeResult)
    rows = run_settings.everything(run)
    if result:
        limit = size(result.memory_limit_bytes) if result.memory_limit_bytes else "none"
        rows |= {
            "Limit that held": limit,
            "The model alone": f"{size(result.model_bytes)} in memory before it learns",
            "Parameters": many(result.parameters),
            "Runtime": result.runtime,
        }
    parts.settings_table(rows | foresight.rows(run))
    parts.time_spent(run)
