"""What a comparison of networks shows below its card: verdict, curves, and tabs."""

import base64
import io
import os
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import streamlit as st
from PIL import Image

from engine import runs
from engine.charts import curve_charts, mnist_charts
from engine.contract import catalog, events, layers
from engine.contract.kinds.mnist import MnistResult, NetworkExported
from engine.contract.run_folder import LabHome
from engine.kinds import curve_lines
from engine.kinds import settings as run_settings
from engine.kinds.compared import Side
from engine.kinds.mnist import comparison, explanations, tables
from engine.stats import confusion
from engine.words import Amount, count, duration, join, number, percent, plain
from ui import compared_curves, lab, parts, sorting, tensorboard_panel
from ui.kinds.mnist import network_layers
from ui.machine import machine_tab
from ui.playground import digit_pad

PAGE = "pages/mnist.py"
CONTENTS = "Weights, TFLite file and SavedModel of every network, labels and predictions, as one zip"
CONTENTS_CANCELLED = "Weights of every network up to where it stopped, and the labels, as one zip"
LOST = "Networks learn from the beginning when it is started again."

DIGIT_SIDE = 72  # pixels
SHOWN_MISTAKES = 24
SHOWN_DIFFERENCES = 9
COSTS = {  # what a network may be weighed by: column of the table -> field of comparison.NetworkRow
    "Training": "train_seconds",
    "Multiply-adds": "multiply_adds",
    "Parameters": "parameters",
    "Per image": "image_seconds",
}


def show(run: runs.Run) -> None:
    rows = comparison.network_rows(run)
    if len(rows) == len(run.lanes):  # all were tested: the figures do not wait for the export
        found = comparison.verdict(run)
        st.markdown(f"**{found.conclusion}** {found.reasons}")
    _stops(run)
    if run.story.curves or run.is_active:
        _curves(run)
    _tabs(run, rows)


def time_left(run: runs.Run, now: float) -> str:
    """ "58 s left" """
    stage = run.story.stages[-1]
    if stage.name in (events.EVALUATING, events.EXPORTING):
        return "finishing"
    left = comparison.seconds_left(run)
    if left is None or now - stage.began < 5:
        return "estimating"
    return f"{duration(max(1.0, left))} left"


def note(run: runs.Run, now: float) -> str:
    """ "2 of 4 networks done · 58 s left" """
    if len(run.lanes) == 1 or run.story.stages[-1].name != events.TRAINING:
        return time_left(run, now)
    return f"{len(run.story.lanes_ended)} of {len(run.lanes)} networks done · {time_left(run, now)}"


def _stops(run: runs.Run) -> None:
    """A button for each network that still learns."""
    story = run.story
    if run.state != events.RUNNING or run.cancel_asked or not story.lanes_started:
        return
    learning = [lane for lane in run.lanes if lane in story.lanes_started and lane not in story.lanes_ended]
    if not learning or story.stages[-1].name != events.TRAINING:
        return
    with st.container(horizontal=True, gap="small", key="stops"):
        for lane in learning:
            stopping, title = os.path.exists(run.folder.stop(lane)), run.titles[lane]
            st.button(
                f"Stopping {title}" if stopping else f"Stop {title}",
                key=f"stop_{lane}",
                type="tertiary",
                icon=":material/stop:",
                on_click=_stop,
                args=(run.id, lane),
                disabled=stopping,
                help="It learns no more and is tested as it is; the others go on",
            )


def _stop(run_id: str, lane: str) -> None:
    lab.queue().stop_lane(run_id, lane)


# --- curves ----------------------------------------------------------------------------------------------------------


def _curves(run: runs.Run) -> None:
    with st.container(horizontal=True, gap=8, key="chart_controls"):  # four controls fit into one row
        splits = [curve_charts.BOTH, curve_charts.VALIDATION, curve_charts.TRAINING]
        split, measure_field, axis_field, weight = curve_controls(len(run.lanes), splits, "network_split")
    drawn = curve_lines.network_lines(run.story, run.titles, split, measure_field, axis_field, weight)
    chart = curve_charts.curves(
        drawn,
        list(run.titles.values()),
        measure=measure_field,
        axis=axis_field,
        end=curve_lines.networks_end(run.story, run.spec.epochs, axis_field),
        height=340 if run.is_active else 300,  # once there is a verdict above, the table stays in sight
        dark=lab.is_dark(),
        narrow=lab.is_phone(),
    )
    # The figures are in the words once they rest: new words make the browser build the chart anew.
    figures = "growing as the run goes on." if run.is_active else curve_charts.networks_in_words(drawn, measure_field)
    measure = "Accuracy" if measure_field == curve_charts.ACCURACY else "Loss"
    alt = f"{measure} of {count(len(run.lanes), 'network')}, {split}: {figures}"
    st.vega_lite_chart(chart, width="stretch", key="curves", alt=alt)
    st.caption(_what_lines_are(run, split))


def curve_controls(lanes: int, splits: Sequence[str], key: str) -> tuple[str, str, str, float]:
    """The controls above curves of networks: split, measure and axis as network_lines takes them, the weight."""
    split = parts.choice("Images", [each.capitalize() for each in splits], key).lower()
    measure = parts.choice("Measure", ["Accuracy", "Loss"], "network_measure")
    # Networks with other batches take other numbers of steps; epochs end together.
    axis = parts.choice("Axis", ["Steps", "Epochs", "Seconds"], "network_axis", "Epochs")
    weight = parts.smoothing_choice(lanes, "network_smoothing")
    measure_field = curve_charts.ACCURACY if measure == "Accuracy" else curve_charts.LOSS
    return (
        split,
        measure_field,
        {"Steps": curve_charts.STEPS, "Epochs": curve_charts.EPOCHS, "Seconds": curve_charts.SECONDS}[axis],
        weight,
    )


def _what_lines_are(run: runs.Run, split: str) -> str:
    alone = [network.title for network in run.spec.networks if not network.validation_images]
    training = "training, with dropout and moved images"
    words = {
        curve_charts.BOTH: f"Full lines: validation, once an epoch. Thin lines: {training}.",
        curve_charts.VALIDATION: "Validation, once an epoch on images held out.",
        curve_charts.TRAINING: f"{training.capitalize()}.",
    }[split]
    if split != curve_charts.TRAINING and alone:
        holds = "holds no images" if len(alone) == 1 else "hold no images"
        words += f" {' and '.join(alone)} {holds} out: "
        words += "its full line is training." if len(alone) == 1 else "their full lines are training."
    return words


# --- tabs ------------------------------------------------------------------------------------------------------------


def _tabs(run: runs.Run, rows: list[comparison.NetworkRow]) -> None:
    draw = {
        "Results": lambda: _results(run, rows),
        "Why": lambda: _why(run, rows),
        "Confusion": lambda: _confusion(run, rows),
        "Mistakes": lambda: _mistakes(run, rows),
        "Draw a digit": lambda: digit_pad.show(run),
        "Layers": lambda: network_layers.show(list(run.spec.networks)),
        "Leaderboard": show_leaderboard,
        "Machine": lambda: machine_tab.show(run),
        "TensorBoard": lambda: tensorboard_panel.show(run),
        "Settings": lambda: _settings(run),
        "Log": lambda: parts.log(run),
    }
    if run.state != events.DONE:
        del draw["Draw a digit"]
    parts.tabs(draw, "mnist_tabs")


def _results(run: runs.Run, rows: list[comparison.NetworkRow]) -> None:
    if not rows:
        parts.waiting(run, "Test accuracy arrives")
        _progress_table(run)
        return
    # Words first: on a phone a table's own buttons lie over what is above it, and that would be the tabs.
    st.caption("Each network met the test images once, at its end; best epochs are by validation.")
    _table(run, rows)
    with st.container(horizontal=True, gap="small", vertical_alignment="center", key="cost_controls"):
        st.markdown("**Accuracy against**", width="content")
        cost = parts.choice("Cost", list(COSTS), "cost")
    weighed = [row for row in rows if getattr(row, COSTS[cost]) is not None]
    if not weighed:
        st.caption("The time per image is measured once the networks are exported.")
        return
    st.vega_lite_chart(
        mnist_charts.accuracy_against_cost(weighed, COSTS[cost], 300, lab.is_dark()),
        width="stretch",
        key="cost_chart",
        alt=f"Test accuracy against {cost.lower()}: {_in_words(weighed)}",
    )


def _table(run: runs.Run, rows: list[comparison.NetworkRow]) -> None:
    table = tables.networks(rows)
    right = {name: st.column_config.Column(alignment="right") for name in table[0] if name != "Network"}
    right["Test accuracy"] = st.column_config.Column(
        alignment="right", help="With its 95 % Wilson interval. Reported, never chosen by."
    )
    right["Training"] = st.column_config.Column(alignment="right", help="Spent on this network alone")
    right["Per image"] = st.column_config.Column(alignment="right", help="TFLite with one thread, median")
    right["Multiply-adds"] = st.column_config.Column(alignment="right", help="For one image")
    st.dataframe(
        sorting.by_number(table),
        hide_index=True,
        height="content",
        placeholder="–",
        column_config=right,
        key="network_table",
        alt=_in_words(rows),
    )
    if len(rows) < len(run.lanes):
        parts.waiting(run, "The others arrive")


def _in_words(rows: Sequence[comparison.NetworkRow]) -> str:
    return "; ".join(f"{row.title}: {percent(row.test_accuracy)} of {row.test_n:,} test images" for row in rows) + "."


def _with_interval(share: float, low: float, high: float) -> Amount:
    """ "99.47% (99.31–99.59)": so many decimals that one of 10,000 images shows."""
    return Amount(share, f"{share:.2%} ({low * 100:.2f}–{high * 100:.2f})")


def _progress_table(run: runs.Run) -> None:
    """How far each network is, while none has been tested."""
    table = []
    for network in run.spec.networks:
        started = run.story.lanes_started.get(network.name)
        learned = run.story.curves.get((network.name, curve_charts.TRAINING), runs.Curve())
        measured = run.story.curves.get((network.name, curve_charts.VALIDATION), runs.Curve())
        ended = run.story.lanes_ended.get(network.name)
        epoch = learned.step[-1] / started.steps_an_epoch if started and learned.step else 0.0
        spent = learned.seconds[-1] if learned.step else 0.0
        table.append(
            {
                "Network": network.title + (" · stopped" if ended and ended.stopped else " · done" if ended else ""),
                "Epoch": Amount(epoch, f"{epoch:.1f} of {run.spec.epochs}"),
                "Validation": percent(measured.accuracy[-1]) if measured.step else None,
                "Training": duration(spent) if spent else None,
                "Images/s": number(round(epoch * started.training / spent)) if started and spent else None,
                "Parameters": number(layers.parameters(layers.costs(layers.read(network.layers)))),
            }
        )
    right = {name: st.column_config.Column(alignment="right") for name in table[0] if name != "Network"}
    st.dataframe(
        sorting.by_number(table), hide_index=True, height="content", placeholder="–",
        column_config=right, key="progress_table",
        alt="How far each network is: " + ", ".join(network.title for network in run.spec.networks) + ".",
    )  # fmt: skip


def _why(run: runs.Run, rows: list[comparison.NetworkRow]) -> None:
    found = explanations.explanations(run) if rows else []
    if not found:
        parts.waiting(run, "What these curves teach arrives")
    for each in found:
        st.markdown(f"**{each.title}**  \n{each.text}")


def _row_choice(
    run: runs.Run, rows: list[comparison.NetworkRow], label: str, key: str, number: int = 0
) -> comparison.NetworkRow:
    """One of the tested networks; asks only where there are several."""
    if len(rows) == 1:
        return rows[0]
    by_lane = {row.lane: row for row in rows}
    lane = st.selectbox(
        label, list(by_lane), index=number, format_func=lambda lane: by_lane[lane].title, key=f"{key}_{run.id}"
    )
    return by_lane[lane]


def _confusion(run: runs.Run, rows: list[comparison.NetworkRow]) -> None:
    predictions = run.predictions()
    if not rows or predictions is None:
        parts.waiting(run, "The confusion matrix arrives")
        return
    row = _row_choice(run, sorted(rows, key=lambda row: row.number), "Network", "confusion_lane")
    labels = catalog.digit_set(run.spec.data).labels
    counts = confusion(predictions["truth"], predictions["lanes"][row.lane]["predicted"], len(labels))
    parts.confusion_chart(counts, labels, f"test images right by {row.title}", "image")
    parts.class_table(counts, labels, "image")


# --- mistakes --------------------------------------------------------------------------------------------------------


def _mistakes(run: runs.Run, rows: list[comparison.NetworkRow]) -> None:
    if not rows:
        parts.waiting(run, "The hardest digits arrive")
        return
    hardest = comparison.hardest(run)
    if not hardest:
        st.caption(f"Every one of the {rows[0].test_n:,} test images is right.")
        return
    titles, labels = run.titles, catalog.digit_set(run.spec.data).labels
    st.markdown("**The hardest digits, and what each network takes them for**")
    with st.container(horizontal=True, gap="small", key="hardest"):
        for mistake in hardest:
            with st.container(horizontal=True, gap="small", width=252):
                said = {
                    lane: f"{labels[guess]} ({percent0(score)})" for lane, (guess, score) in mistake.guesses.items()
                }
                words = [f"{titles[lane]}: {words}" for lane, words in said.items()]
                _digit(mistake, f"Test image {mistake.index:,}, a {labels[mistake.truth]}: {', '.join(words)}")
                lines = [
                    f":gray[{line}]" if mistake.guesses[lane][0] == mistake.truth else line
                    for lane, line in zip(said, words, strict=True)
                ]
                lines = [f":small[{line}]" for line in [f"**Is {labels[mistake.truth]}**", *lines]]
                st.markdown("  \n".join(lines), width=252 - DIGIT_SIDE - 16)
    row = _row_choice(run, rows, "One network's surest errors", "mistakes_lane")
    st.caption(f"{row.title} is wrong on {row.wrong:,} of {row.test_n:,}, the surest errors first.")
    _strip(comparison.mistakes(run, row.lane, SHOWN_MISTAKES), row.lane, labels, "mistakes")
    if len(rows) > 1:
        _disagreement(run, rows, labels)


def _disagreement(run: runs.Run, rows: list[comparison.NetworkRow], labels: Sequence[str]) -> None:
    st.markdown("**Where two networks disagree**")
    left, right = st.columns(2, gap="small")
    with left:
        first = _row_choice(run, rows, "First network", "first_lane")
    with right:
        second = _row_choice(run, rows, "Second network", "second_lane", 1)
    if first == second:
        st.caption("Choose two different networks.")
        return
    found = comparison.disagreement(run, first.lane, second.lane, SHOWN_DIFFERENCES)
    st.markdown(found.sentence)
    for mistakes, right_one, wrong_one in ((found.only_first, first, second), (found.only_second, second, first)):
        if mistakes:
            st.caption(f"Only {right_one.title} is right; {wrong_one.title} says:")
            _strip(mistakes, wrong_one.lane, labels, f"only_{right_one.lane}")


def _strip(mistakes: Sequence[comparison.Mistake], lane: str, labels: Sequence[str], key: str) -> None:
    """Pictures with what they are and what this network took them for."""
    with st.container(horizontal=True, gap="small", key=key):
        for mistake in mistakes:
            guess, score = mistake.guesses[lane]
            words = f"{labels[mistake.truth]} → {labels[guess]}"
            with st.container(width=DIGIT_SIDE + 16, gap=None, horizontal_alignment="center"):
                _digit(mistake, f"Test image {mistake.index:,}: {words}, {percent0(score)} sure")
                st.caption(words, text_alignment="center")


def _digit(mistake: comparison.Mistake, alt: str) -> None:
    if mistake.pixels is None:
        st.caption(f"Test image {mistake.index:,}")
    else:
        st.image(_png(mistake.pixels.tobytes()), width=DIGIT_SIDE, alt=alt)


@st.cache_data(max_entries=1024, show_spinner=False)
def _png(pixels: bytes) -> str:
    """28 x 28 bytes, 255 ink -> the address of a PNG, black on white, each pixel a square of 5.

    An address of its own, because Streamlit would shrink a file to its width, which blurs it on fine screens.
    """
    ink = np.frombuffer(pixels, np.uint8).reshape(layers.SIZE, layers.SIZE)
    out = io.BytesIO()
    Image.fromarray(np.kron(255 - ink, np.ones((5, 5), np.uint8))).save(out, "PNG")
    return f"data:image/png;base64,{base64.b64encode(out.getvalue()).decode()}"


def percent0(share: float) -> str:
    """0.984 -> "98%"."""
    return f"{share:.0%}"


# --- all runs --------------------------------------------------------------------------------------------------------


def show_leaderboard(titled: bool = False) -> None:
    """Every tested network of every run kept; nothing without one where it has a title."""
    tested = tuple((row.id, row.state) for row in lab.rows() if row.networks)
    rows = _leaderboard(lab.home().path, tested)
    if not rows:
        if not titled:
            st.caption("Every network that was tested here is listed, best first, once one was.")
        return
    if titled:
        st.markdown("**Leaderboard**")
    st.caption("Ordered by the test, so the first figure is a little too good; the median of several seeds is not.")
    table = [
        {
            "Data": row.data,
            "Network": row.title,
            "Test accuracy": _with_interval(row.test_accuracy, row.test_low, row.test_high),
            "Median of seeds": None if row.median is None else Amount(row.median, f"{row.median:.2%} of {row.seeds}"),
            "Epochs": Amount(row.epochs, f"{row.epochs:g}"),
            "Training": duration(row.train_seconds),
            "Parameters": number(row.parameters),
            "Seed": Amount(row.seed, str(row.seed)),
            "Run": row.run_id,
        }
        for row in rows
    ]
    right = {name: st.column_config.Column(alignment="right") for name in list(table[0])[2:-1]}
    if len({row.data for row in rows}) == 1:
        for line in table:
            del line["Data"]
    st.dataframe(
        sorting.by_number(table),
        hide_index=True,
        height="content" if len(table) <= 12 else 470,
        placeholder="–",
        column_config=right,
        key="leaderboard",
        alt=f"{count(len(rows), 'tested network')}; the best is {rows[0].title} with {percent(rows[0].test_accuracy)}.",
    )


@st.cache_data(max_entries=16, show_spinner=False)
def _leaderboard(home_path: str, tested: tuple[tuple[str, str], ...]) -> list[comparison.LeaderRow]:
    """`tested`: id and state of the runs; part of the key, so that a run is read again only once it has changed."""
    return comparison.leaderboard(runs.open_run(LabHome(home_path), run_id) for run_id, _ in tested)


# --- settings --------------------------------------------------------------------------------------------------------


def _settings(run: runs.Run) -> None:
    rows = run_settings.rows(run) | run_settings.which(run)
    if result := run.story.last(MnistResult):
        differences = [each.difference for each in run.story.by_lane(NetworkExported).values()]
        rows["Runtime"] = result.runtime
        if differences:
            images = count(max(each.images for each in run.story.by_lane(NetworkExported).values()), "image")
            checked = f"{images} in a fresh process, probabilities differ by at most {max(differences):.1e}"
            rows["Export checked"] = checked
    parts.settings_table(rows)
    table = []
    for network in run.spec.networks:
        started = run.story.lanes_started.get(network.name)
        table.append(
            {
                "Network": network.title,
                "Optimizer": network.optimizer.capitalize() if network.optimizer == catalog.ADAM else "SGD",
                "Learning rate": Amount(network.learning_rate, f"{network.learning_rate:g}"),
                "Schedule": network.schedule.replace("_", " "),
                "Batch": number(started.batch_size if started else network.batch_size),
                "Label smoothing": Amount(network.label_smoothing, f"{network.label_smoothing:g}"),
                "Moved images": "yes" if network.augmentation else "no",
                "Training images": number(started.training) if started else None,
                "Held out": number(started.validation if started else network.validation_images),
                "Source": network.source,
            }
        )
    st.dataframe(
        sorting.by_number(table), hide_index=True, height="content", placeholder="–", key="recipes",
        alt="How each network is trained: " + ", ".join(network.title for network in run.spec.networks) + ".",
    )  # fmt: skip
    parts.time_spent(run)


# --- beside other runs -----------------------------------------------------------------------------------------------


def compare(group: Sequence[Side], names: Sequence[str]) -> None:
    """Their curves in one chart; `names` of all runs on the page, in the order of their colours."""
    with st.container(horizontal=True, gap="small", key="digit_chart_controls"):
        split, measure, axis, weight = curve_controls(
            len(group), [curve_charts.VALIDATION, curve_charts.TRAINING], "compared_split"
        )
    drawn = [
        replace(line, name=side.name, number=side.number)
        for side in group
        for line in curve_lines.network_lines(side.run.story, {side.lane: side.name}, split, measure, axis, weight)
    ]
    compared_curves.chart(group, drawn, names, split, measure, axis)
    alone = [side.name for side in group if (side.lane, curve_charts.VALIDATION) not in side.run.story.curves]
    if alone and drawn and split == curve_charts.VALIDATION:
        st.caption(f"Training in place of validation, for which they hold nothing out: {plain(join(alone))}.")
