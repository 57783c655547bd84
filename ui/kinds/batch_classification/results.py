"""Many pictures and one model: the form that starts such a run, and what the run shows below its card."""

import base64
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import streamlit as st
from streamlit.runtime.uploaded_file_manager import UploadedFile

from engine import photos, runs
from engine.contract import choices, events
from engine.contract.dataset import Dataset
from engine.contract.kinds.batch_classification import BatchClassificationResult, BatchClassificationSpec, ModelLoaded
from engine.errors import EngineError, PhotosError
from engine.kinds import settings as run_settings
from engine.kinds.batch_classification import many_pictures
from engine.kinds.batch_classification.many_pictures import Row
from engine.models import models
from engine.settings import Settings
from engine.words import count, duration, percent, size
from ui import lab, parts
from ui.machine import machine_tab

# What run_panel asks of every kind of run; there is a CSV in place of a download.
PAGE = "pages/playground.py"
CONTENTS = CONTENTS_CANCELLED = ""
LOST = "What it had classified is below."

PAGE_ROWS = 100  # shown at once: each brings a small picture along
THUMBNAIL = 48  # pixels high
CHART_LABELS = 40  # a larger confusion matrix cannot be read
NEWEST = 10  # rows shown while the run goes on

FOLDER, ZIP, UPLOADS = "a folder on this machine", "a zip", "several pictures"  # options beside the names of sets
UPLOAD_TYPES = ["jpg", "jpeg", "png", "webp", "bmp", "gif"]
UPLOAD_MEGABYTES = 50  # each


# --- the form --------------------------------------------------------------------------------------------------------


def form(settings: Settings, model_key: str = "") -> str | None:
    """The form, in the place where it is called; the id of the run that its button has started just now.

    `model_key`: the model that answers; "" lets the visitor choose.
    """
    model = _choose_model(settings, model_key)
    kind, where = _choose_source(settings)
    listed: photos.Pictures | None = None
    incoming: list[UploadedFile] = []
    title = fault = ""
    try:
        if kind == FOLDER:
            typed = st.text_input(
                "Folder", key="many_folder", placeholder="/home/you/pictures", persist_state="session",
                help="On the machine that runs the lab. A folder in it that is named as a label says what its pictures "
                "show.",
            )  # fmt: skip
            if typed.strip():
                root = photos.allowed(typed, settings.data_roots)
                title = root.name
                listed = _listed(str(root), title, settings.data_roots)
        elif kind == ZIP:
            given = st.file_uploader("One zip", type=["zip"], key="many_zip")
            incoming = [given] if given else []
        elif kind == UPLOADS:
            incoming = st.file_uploader(
                f"Up to {photos.UPLOADS_LIMIT} pictures", type=UPLOAD_TYPES, accept_multiple_files=True,
                key="many_uploads", max_upload_size=UPLOAD_MEGABYTES,
            )  # fmt: skip
        elif where:
            title = next(source.title for source in photos.sources(settings) if source.key == kind)
            listed = _listed(str(where), title, settings.data_roots)
    except PhotosError as error:
        fault = str(error)
    number = len(listed.dataset.photos) if listed else len(incoming) if kind == UPLOADS else 0
    if listed and not number:
        fault = f"{title} holds no picture. Choose a folder with {photos.FORMATS_TEXT} in it."
    elif number > photos.UPLOADS_LIMIT and kind == UPLOADS:
        fault = f"{number:,} pictures are more than the {photos.UPLOADS_LIMIT} that are taken at once. Make a zip."
    device = parts.device_choice()
    start = st.button(
        f"Classify {count(number, 'picture')}" if number else "Classify the pictures",
        key="many_start",
        type="primary",
        width="stretch",
        icon=":material/play_arrow:",
        disabled=bool(fault) or model is None or not (listed or incoming),
    )
    if fault:
        st.markdown(f":small[:red[{fault}]]")
    elif listed and model:
        _say_of_folders(settings, model, listed)
    st.caption("A run of its own: it lines up behind the others and can be cancelled.")
    if not start or model is None:
        return None
    try:
        dataset = listed.dataset if listed else _keep(settings, incoming, is_zip=kind == ZIP)
        return start_run(model, dataset, device)
    except EngineError as error:
        st.error(str(error), icon=":material/error:")
        return None


def start_run(model: models.Model, dataset: Dataset, device: str = choices.CPU) -> str:
    """The id of a run that has been queued. Raises EngineError."""
    return lab.queue().start(BatchClassificationSpec(model=model.key, model_title=model.title, device=device), dataset)


def start_uploads(settings: Settings, model: models.Model, incoming: list[UploadedFile]) -> str:
    """The same for pictures that were uploaded one by one. Raises EngineError."""
    return start_run(model, _keep(settings, incoming, is_zip=False))


def _choose_model(settings: Settings, key: str) -> models.Model | None:
    # Digits are drawn one by one; what has to be fetched first is fetched where it is chosen for one picture.
    known = [each for each in models.list_models(settings) if each.group != models.DIGITS and not each.needs]
    if found := next((each for each in known if each.key == key), None):
        return found
    if key:
        st.caption("The model of the address cannot answer many pictures; choose another one.")
    titles = {each.key: each.title for each in known}
    if not titles:
        st.markdown("**No model is here yet.** Retrain one, or fetch a pretrained one for a single picture first.")
        return None
    chosen = st.selectbox(
        "Model", list(titles), format_func=lambda one: titles.get(one, one), key="many_model", persist_state="session"
    )
    return next((each for each in known if each.key == chosen), None)


def _choose_source(settings: Settings) -> tuple[str, Path | None]:
    here = {source.key: source for source in photos.sources(settings) if source.root}
    titles = {UPLOADS: "Several pictures", ZIP: "A zip", FOLDER: "A folder on this machine"}
    titles |= {key: source.title for key, source in here.items()}
    kind = st.selectbox(
        "Pictures", list(titles), format_func=lambda one: titles.get(one, one), key="many_source",
        persist_state="session",
    )  # fmt: skip
    return kind, here[kind].root if kind in here else None


@st.cache_data(ttl=30, max_entries=16, show_spinner="Looking at the folder")
def _listed(root: str, title: str, roots: tuple[Path, ...]) -> photos.Pictures:
    return photos.list_pictures(Path(root), title, roots)


def _say_of_folders(settings: Settings, model: models.Model, listed: photos.Pictures) -> None:
    try:
        labels = models.card(settings, model.key).labels
    except EngineError as error:  # deleted since it was listed
        st.caption(str(error))
        return
    for sentence in _remarks(listed.dataset, labels):
        st.caption(sentence)
    if listed.left_out:
        named = "; ".join(f"{file} ({why})" for file, why in listed.left_out[:3])
        more = f"; and {len(listed.left_out) - 3:,} more" if len(listed.left_out) > 3 else ""
        st.caption(f"{count(len(listed.left_out), 'file')} left out: {named}{more}.")


def _remarks(dataset: Dataset, labels: Sequence[str]) -> list[str]:
    return many_pictures.remarks(dataset.labels, [photo.label for photo in dataset.photos], labels)


def _keep(settings: Settings, incoming: list[UploadedFile], is_zip: bool) -> Dataset:
    """What was uploaded, as a folder under LAB_HOME that goes when its last run is deleted. Raises PhotosError."""
    if is_zip:
        title = photos.title_of(Path(incoming[0].name).stem)
        root = photos.unpack(incoming[0], settings.home.pictures, title)
    else:
        title = "Uploaded pictures" if len(incoming) > 1 else photos.title_of(incoming[0].name)
        root = photos.keep_uploads([(each.name, each.getvalue()) for each in incoming], settings.home.pictures, title)
    try:
        dataset = photos.list_pictures(root, title).dataset
        if not dataset.photos:
            raise PhotosError(f"{title} holds no picture. Give {photos.FORMATS_TEXT}.")
    except PhotosError:
        photos.forget(root)
        raise
    return dataset


# --- the run ---------------------------------------------------------------------------------------------------------


def show(run: runs.Run) -> None:
    _left_out(run)
    for sentence in _remarks(run.dataset, many_pictures.read_labels(run)):
        st.warning(sentence, icon=":material/info:")
    if run.is_active:
        newest = many_pictures.newest(run, NEWEST)
        if newest:
            st.dataframe(
                [_line(row) for row in newest], hide_index=True, height="content", key="newest_answers",
                column_config=_columns(), alt="The newest answers; all of them are here once the run has ended.",
            )  # fmt: skip
        return
    rows = _rows(lab.home().path, run.id, os.path.getsize(run.folder.events))
    if not rows:
        return
    st.markdown(many_pictures.headline(rows))
    draw = {
        "Answers": lambda: _answers(run, rows),
        "Confusion": lambda: _confusion(rows),
        "Machine": lambda: machine_tab.show(run),
        "Settings": lambda: _settings(run),
        "Log": lambda: parts.log(run),
    }
    if not any(row.known for row in rows):
        del draw["Confusion"]
    parts.tabs(draw, "many_tabs")


@st.cache_resource(max_entries=4, show_spinner=False)
def _rows(home_path: str, run_id: str, size: int) -> list[Row]:
    """Of a run that has ended, for all visitors; nobody changes them. `size` of its events is part of the key."""
    return many_pictures.rows(lab.open_run(run_id))


def note(run: runs.Run, now: float) -> str:
    """The quiet words beside the name of a run that has begun."""
    stage, left = run.story.stages[-1], time_left(run, now)
    elapsed = run.story.last_t - stage.began
    if stage.name == events.CLASSIFYING and stage.done and elapsed > 1:
        return f"{stage.done / elapsed:.0f} pictures/s · {left}"
    return left


def time_left(run: runs.Run, now: float) -> str:
    """ "46 s left"; "estimating" before 5 % or 5 s have passed."""
    stage = run.story.stages[-1]
    elapsed, done = now - stage.began, parts.share(stage)
    if stage.name != events.CLASSIFYING:
        return "loading the model"
    if not done or (done < 0.05 and elapsed < 5):
        return "estimating"
    return f"{duration(max(1.0, elapsed * (1 - done) / done))} left"


def _left_out(run: runs.Run) -> None:
    skipped = run.story.skipped
    if not skipped:
        return
    with st.expander(f"{count(len(skipped), 'picture')} left out", type="compact", key="skipped"):
        listed = [f"- `{one.file}`: {one.why}" for one in skipped[:50]]
        more = [f"- and {len(skipped) - 50:,} more"] if len(skipped) > 50 else []
        st.markdown("\n".join(listed + more))


# --- tabs ------------------------------------------------------------------------------------------------------------

LISTED, UNSURE, WRONG = "As listed", "Least sure first", "Wrong, surest first"


def _answers(run: runs.Run, rows: list[Row]) -> None:
    is_judged = any(row.known for row in rows)
    with st.container(horizontal=True, gap="small", vertical_alignment="center", key="answers_controls"):
        order = parts.choice("Order", [LISTED, UNSURE, WRONG] if is_judged else [LISTED, UNSURE], "answers_order")
        page, pages = 1, -(-len(_ordered(rows, order)) // PAGE_ROWS)
        if pages > 1:
            page = st.number_input(f"Page of {pages:,}", 1, pages, 1, key=f"answers_page_{order}", width=150)
        st.download_button(
            "CSV",
            data=lambda: many_pictures.to_csv(rows, run.dataset.root).encode(),  # made when it is asked for
            file_name=f"{run.id}.csv",
            mime="text/csv",
            key="answers_csv",
            icon=":material/download:",
            type="tertiary",
            on_click="ignore",
            help=f"All {count(len(rows), 'row')}: file, what it shows, right or wrong, the labels and their scores",
        )
    shown = _ordered(rows, order)[(page - 1) * PAGE_ROWS : page * PAGE_ROWS]
    if not shown:
        st.caption("No answer is wrong.")
        return
    table = [{"Picture": _data_url(f"{run.dataset.root}/{row.file}")} | _line(row) for row in shown]
    st.dataframe(
        table,
        hide_index=True,
        height="content" if len(table) <= 8 else 470,
        row_height=THUMBNAIL + 4,
        placeholder="–",
        column_config=_columns(),
        key="answers_table",
        alt="; ".join(f"{row.file}: {row.top[0][0]} {percent(row.top[0][1])}" for row in shown[:12]),
    )
    if pages > 1:
        st.caption(f"{PAGE_ROWS} rows at once; a click on a column's name sorts those. The CSV has all.")


def _ordered(rows: list[Row], order: str) -> list[Row]:
    if order == UNSURE:
        return sorted(rows, key=lambda row: row.top[0][1])
    if order == WRONG:
        return sorted((row for row in rows if row.is_right is False), key=lambda row: -row.top[0][1])
    return rows


def _line(row: Row) -> dict[str, object]:
    line: dict[str, object] = {"File": row.file, "Answer": row.top[0][0], "Score": 100 * row.top[0][1]}
    line["Second"] = f"{row.top[1][0]} {percent(row.top[1][1])}" if len(row.top) > 1 else None
    if row.known:
        line |= {"Shows": row.known, "Judged": "right" if row.is_right else "wrong"}
    if row.is_learned:
        line["Learned from"] = "yes"
    return line


def _columns() -> dict[str, Any]:
    column = st.column_config
    return {
        "Picture": column.ImageColumn(width=72),
        "File": column.TextColumn(width=180),
        "Score": column.ProgressColumn(format="%.1f%%", min_value=0.0, max_value=100.0, width=120),
        "Learned from": column.TextColumn(help="The model learned from these very bytes"),
    }


def _data_url(path: str) -> str | None:
    """A small JPEG that the table can draw; None where the picture is gone or unreadable."""
    found = parts.thumbnail(path, THUMBNAIL)
    return f"data:image/jpeg;base64,{base64.b64encode(found[0]).decode()}" if found else None


def _confusion(rows: list[Row]) -> None:
    counts, names = many_pictures.confusion(rows)
    if any(row.is_learned and row.known for row in rows):
        st.caption("Pictures that the model learned from are counted here too.")
    if len(names) <= CHART_LABELS:
        parts.confusion_chart(counts, names, "pictures right", "picture")
    parts.class_table(counts, names, "picture")


def _settings(run: runs.Run) -> None:
    loaded, result = run.story.last(ModelLoaded), run.story.last(BatchClassificationResult)
    found = run_settings.everything(run)
    if loaded:
        found["Input"] = f"{loaded.input_width}×{loaded.input_height} pixels"
        found["Runtime"] = f"{loaded.runtime} on {loaded.device}, loaded in {duration(loaded.load_seconds)}"
    if result:
        found["One picture"] = f"{duration(result.photo_seconds)} in the network, the median of {result.photos:,}"
        found["Reading, decoding, resizing"] = f"{duration(result.decode_seconds)} of all cores together"
        found["Memory"] = f"{size(result.peak_memory_bytes)} at most"
    parts.settings_table(found)
    parts.time_spent(run)
