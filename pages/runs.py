"""What have I run? Open it, compare it, copy its settings, export it, delete it."""

import time

import streamlit as st

from engine import runs
from engine.contract import events, kinds, signatures
from engine.errors import EngineError
from engine.kinds.compared import FEWEST, MOST
from engine.kinds.rows import RunRow, of_here
from engine.words import age, count, join, plain, size
from ui import copied_settings, frame, lab, reports, rooms
from ui.kinds.imported import form as imported_form
from ui.runs import run_filters, runs_compared, tables

NAMED = 8  # runs that the question before deleting names one by one

header = frame.begin("Runs", "Everything that was run here, newest first.")


def compare(ids: list[str]) -> None:
    st.query_params["compare"] = ",".join(ids)


def leave_comparison() -> None:
    st.query_params.pop("compare", None)


def remove(titles: dict[str, str]) -> None:
    """`titles`: what people know them by, by the names of their folders."""
    failed = []
    for run_id, title in titles.items():
        try:
            runs.delete(lab.home(), run_id)
        except EngineError as error:
            failed.append(str(error))
        except OSError as error:
            failed.append(f"{title} cannot be deleted: {error.strerror}.")
    st.session_state["_not_done"] = failed


def is_active(row: RunRow) -> bool:
    return row.state in (events.QUEUED, events.RUNNING)


def started(row: RunRow) -> str:
    passed = age(row.started, time.time())
    return "just now" if passed == "now" else passed


@st.dialog("Delete")
def delete(chosen: list[RunRow]) -> None:
    living, going = [row for row in chosen if is_active(row)], [row for row in chosen if not is_active(row)]
    if living:
        words = plain(join([row.title for row in living]))
        st.warning(
            f"**{words}** {'is' if len(living) == 1 else 'are'} still working and will not be deleted. Cancel first.",
            icon=":material/info:",
        )
    sizes = [runs.size(lab.home(), row.id) for row in going]
    for row, each in list(zip(going, sizes, strict=True))[:NAMED]:
        st.markdown(
            f"**{plain(row.title)}**, started {started(row)}, goes with everything in its folder, {size(each)}: "
            f"settings, curves, log, {row.contents}. {row.stays}"
        )
    if len(going) > NAMED:
        st.markdown(f"So do {count(len(going) - NAMED, 'other run')}; {size(sum(sizes))} in all.")
    with st.container(horizontal=True):
        if going:
            words = "Delete" if len(going) == 1 else f"Delete {count(len(going), 'run')}"
            if st.button(
                words,
                key="delete_confirmed",
                type="primary",
                on_click=remove,
                args=({row.id: row.title for row in going},),
            ):
                st.rerun()
        if st.button("Keep it" if len(chosen) == 1 else "Keep them", key="keep"):
            st.rerun()


def actions_of_one(row: RunRow) -> None:
    st.page_link(rooms.page_of(row.kind), label="Open", icon=":material/open_in_new:", query_params={"run": row.id})
    if kinds.KINDS[row.kind].form and st.button("Copy settings", icon=":material/content_copy:"):
        try:
            page, query = copied_settings.fill(runs.open_run(lab.home(), row.id))
        except EngineError as error:
            st.session_state["_not_copied"] = str(error)
        else:
            st.switch_page(page, query_params=query)
    if is_active(row):
        st.button("Cancel", icon=":material/stop:", on_click=lab.queue().cancel, args=(row.id,))
        return
    st.download_button(
        "Export",
        data=lambda: runs.zip_run(runs.open_run(lab.home(), row.id)),  # made when it is asked for
        file_name=f"{row.id}.zip",
        mime="application/zip",
        icon=":material/download:",
        on_click="ignore",
        help="Its whole folder as one zip: settings, curves, log and files. Unpacked into another lab's runs folder it "
        "is listed there.",
    )
    reports.of_runs([row.id])
    reports.present_link([row.id])
    if st.button("Delete", icon=":material/delete:"):
        delete([row])


def actions_of_several(chosen: list[RunRow]) -> None:
    ids = [row.id for row in sorted(chosen, key=lambda row: row.started)]  # colours in the order of creation
    st.button(
        f"Compare {len(chosen):,} runs",
        icon=":material/compare_arrows:",
        type="primary",
        on_click=compare,
        args=(ids,),
        disabled=len(chosen) > MOST,
        help=f"Their curves, figures, times and settings beside each other; {FEWEST} to {MOST} runs",
    )
    reports.of_runs(ids)
    reports.present_link(ids)
    if st.button(f"Delete {len(chosen):,} runs", icon=":material/delete:"):
        delete(chosen)


def listed(rows: list[RunRow]) -> None:
    shown = run_filters.choose(rows)
    said = f"{len(shown):,} of {count(len(rows), 'run')}" if len(shown) < len(rows) else count(len(rows), "run")
    if not shown:
        st.markdown(f"**No run is like that.** {said}.")
        st.button("Show every run", icon=":material/filter_alt_off:", on_click=run_filters.clear)
        return
    actions = st.container(horizontal=True, vertical_alignment="center", key="actions")
    chosen = tables.choose_runs(shown)
    with actions:
        if not chosen:
            st.caption(f"{said}. Select one to open, copy, export or delete it, or up to {MOST} to compare them.")
        elif len(chosen) == 1:
            actions_of_one(chosen[0])
            st.caption(f"{plain(chosen[0].title)} · {said}")
        else:
            actions_of_several(chosen)
            st.caption(f"{len(chosen):,} chosen · {said}")


@st.dialog("Delete")
def delete_unreadable(name: str) -> None:
    st.markdown(f"**{plain(name)}** will be deleted, with all its files, {size(runs.size(lab.home(), name))}.")
    with st.container(horizontal=True):
        if st.button("Delete", key="delete_confirmed", type="primary", on_click=remove, args=({name: name},)):
            st.rerun()
        if st.button("Keep it", key="keep"):
            st.rerun()


def list_unreadable() -> None:
    """Folders that are no run, so that they can be deleted."""
    for name, why in lab.unreadable():
        with st.container(border=True, horizontal=True, vertical_alignment="center", key=f"unreadable_{name}"):
            st.badge("Unreadable", icon=":material/error:", color="red")
            st.markdown(plain(why), width="stretch")
            if st.button("Delete", icon=":material/delete:", key=f"delete_{name}"):
                delete_unreadable(name)


def sign(ids: list[str]) -> None:
    try:
        runs.sign(lab.home(), ids)
    except EngineError as error:
        st.session_state["_not_done"] = [str(error)]


def ask_about_older() -> None:
    """Once, after an upgrade: whether runs that carry no signature are this lab's own."""
    rows = {row.id: row for row in lab.rows()}
    ids = [run_id for run_id in signatures.older(lab.home()) if run_id in rows]
    if not ids:
        return
    made_here = {row.id for row in of_here(rows.values())}
    question = "Did this lab make this run?" if len(ids) == 1 else "Did this lab make these runs?"
    with st.container(border=True, key="older_runs"):
        st.markdown(
            f"**{question}** The lab now signs the runs that it makes and uses the models of signed runs only: a model "
            f"can do what a program can. {count(len(ids), 'run')} with a model came before that. Choose those that "
            "were made here; the others stay listed, without their models."
        )
        ours = st.multiselect(
            "Made by this lab",
            ids,
            default=[run_id for run_id in ids if run_id in made_here],
            format_func=lambda run_id: f"{rows[run_id].title} ({run_id})",
            key="older_ours",
        )
        words = f"Sign {count(len(ours), 'run')}" if ours else "Sign none"
        st.button(words, icon=":material/verified_user:", key="sign_older", on_click=sign, args=(ours,))


for error in st.session_state.pop("_not_done", []):
    st.error(plain(error), icon=":material/error:")
if not_copied := st.session_state.pop("_not_copied", ""):
    st.error(plain(not_copied), icon=":material/error:")
if "compare" in st.query_params:
    with header:
        st.button("All runs", icon=":material/arrow_back:", on_click=leave_comparison)
    runs_compared.show(st.query_params["compare"])
elif rows := lab.rows():
    ask_about_older()
    listed(rows)
    list_unreadable()
    imported_form.show()
else:
    list_unreadable()
    st.markdown("**No runs yet.** They are listed here once one has started.")
    for page, label in (("pages/mnist.py", "Compare networks"), ("pages/retraining.py", "Set up a run")):
        st.page_link(page, label=label, icon=":material/arrow_forward:", icon_position="right")
    imported_form.show()
