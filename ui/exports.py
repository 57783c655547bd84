"""The files of a finished retraining run: how each did when a fresh process loaded it, and how to take it away."""

from collections.abc import Mapping
from pathlib import Path

import streamlit as st

from engine import runs
from engine.contract import events
from engine.words import Amount, count, duration, percent, size
from ui import sorting

# What a file is for, by its name in artifacts/, in the order of the table.
FILES = {
    "saved_model": ("SavedModel", "resizes and normalises by itself; TensorFlow 2"),
    "retrained_graph.pb": ("Frozen graph", "for label_image.py with its own defaults; TensorFlow 1 and 2"),
    "model.tflite": ("TFLite", "for phones and small boards; the lab answers from it"),
    "model-8bit.tflite": ("TFLite, 8 bits", "smallest and fastest, at some cost in accuracy"),
}


def show(run: runs.Run) -> None:
    exported = run.story.exported
    if not exported:
        if run.is_active:
            st.caption("The files arrive after Exporting, each loaded again by a fresh process and tested.")
        else:
            st.caption("No files were tested: the run stopped before that, or is older than this table.")
        return
    st.markdown(conclusion(exported))
    table = [
        {
            "File": FILES[name][0],
            "Accuracy": percent(each.accuracy),
            "Largest difference": Amount(
                each.difference, f"{each.difference:.1e}" if each.difference < 0.001 else f"{each.difference:.3f}"
            ),
            "Size": size(each.bytes),
            "One photo": duration(each.seconds),
            "For": FILES[name][1],
        }
        for name in FILES
        if (each := exported.get(name))
    ]
    right = {name: st.column_config.Column(alignment="right") for name in list(table[0])[1:5]}
    right["Largest difference"] = st.column_config.Column(
        alignment="right", help="Of a probability from what was trained, over all these photos and classes."
    )
    right["One photo"] = st.column_config.Column(
        alignment="right", help="Median, on the CPU, after decoding and resizing; TFLite with one thread."
    )
    st.dataframe(
        sorting.by_number(table),
        hide_index=True,
        height="content",
        column_config=right,
        key="exports_table",
        alt="; ".join(f"{row['File']}: {row['Accuracy']}, {row['Size']}" for row in table),
    )
    _downloads(run)
    _command_line(run)


def conclusion(exported: Mapping[str, events.Exported]) -> str:
    """The answer before the table, in Markdown."""
    photos = count(next(iter(exported.values())).photos, "testing photo")
    whole, small = exported.get("model.tflite"), exported.get("model-8bit.tflite")
    exact = [each for each in exported.values() if each is not small]
    worst = max(each.difference for each in exact)
    said = f"**Loaded again, {count(len(exact), 'file')} answered as what was trained, to {worst:.0e}**"
    if not whole or not small:
        return f"{said}, on {photos}."
    if small.accuracy == whole.accuracy:
        accuracy = f"is right as often ({percent(small.accuracy)})"
    else:
        accuracy = f"is right on {percent(small.accuracy)} in place of {percent(whole.accuracy)}"
    return (
        f"{said}; with 8 bits the TFLite file is {whole.bytes / small.bytes:.1f}× smaller, takes "
        f"{duration(small.seconds)} in place of {duration(whole.seconds)}, and {accuracy} of {photos}."
    )


def _downloads(run: runs.Run) -> None:
    folder = run.folder
    with st.container(horizontal=True, gap="small", key="export_downloads"):
        for path in map(Path, (folder.graph, folder.labels, folder.tflite, folder.tflite_8bit)):
            if path.is_file():
                st.download_button(
                    path.name,
                    data=path.read_bytes,  # when it is asked for
                    file_name=path.name,
                    mime="application/octet-stream",
                    key=f"download_{path.name}",
                    icon=":material/download:",
                    on_click="ignore",
                )


def _command_line(run: runs.Run) -> None:
    if not Path(run.folder.graph).is_file():
        return
    st.caption("The frozen graph on the command line, of the lab or of the original script:")
    artifacts = run.folder.artifacts
    st.code(
        f"python -m engine label_image --graph={artifacts}/retrained_graph.pb --labels={artifacts}/labels.txt "
        "--image=photo.jpg",
        language=None,
        wrap_lines=True,
    )
