import re
from pathlib import Path

import pytest

from engine.contract import choices, events
from engine.contract.kinds.race import LaneResult, RaceResult, RaceSpec
from engine.runs import list_runs, open_run
from tests.pages.conftest import finished, open_page, start_all
from tests.photo_folders import draw_photos
from tests.waiting import wait_until
from ui import lab

RACE = RaceSpec(steps=500)
SINGLE = RACE._replace(learning_rates=(0.01,))


def texts(app) -> str:
    """Everything that the page says in words."""
    kinds = (app.markdown, app.caption, app.error, app.warning, app.title, app.subheader)
    return "\n".join(str(element.value) for kind in kinds for element in kind)


def button(app, label):
    return next(button for button in app.button if button.label == label)


def choose_lamps(app):
    app.selectbox(key="photos").set_value("lamps").run()
    return app


def test_photos_are_shown_with_their_split_before_anything_starts(visit, home):
    app = choose_lamps(visit("retraining"))
    assert "**Lamps** · 3 classes, 60 photos" in texts(app)
    table = app.dataframe[0].value
    assert list(table["Class"]) == ["green", "red", "yellow"]
    assert (table[["Training", "Validation", "Testing"]].astype(int).sum(axis=1) == 20).all()
    assert (table[["Training", "Validation", "Testing"]].astype(int) > 0).all(axis=None)
    assert list_runs(home) == []


def test_what_the_sliders_say_is_what_the_run_is_asked_to_do(visit, home):
    app = choose_lamps(visit("retraining", mode="single"))
    app.select_slider(key="learning_rate").set_value(0.05).run()
    app.select_slider(key="steps").set_value(200).run()
    app.number_input(key="seed").set_value(3).run()
    button(app, "Start training").click().run()
    run = finished(home)
    assert run.spec == RaceSpec(learning_rates=(0.05,), steps=200, seed=3)
    assert app.query_params["run"] == run.id


def test_a_race_has_a_slider_for_each_lane_that_can_be_added_and_removed(visit, home):
    app = choose_lamps(visit("retraining", mode="race"))
    assert [slider.value for slider in app.select_slider][:3] == [0.005, 0.5, 1.0]
    button(app, "Add a rate").click().run()
    assert button(app, "Race 4 rates")
    app.button(key="remove_rate_1").click().run()
    app.select_slider(key="learning_rate_4").set_value(2.0).run()
    button(app, "Race 3 rates").click().run()
    assert finished(home).spec.learning_rates == (0.5, 1.0, 2.0)


def test_eight_lanes_are_the_most(visit):
    app = choose_lamps(visit("retraining", mode="race"))
    for _ in range(5):
        button(app, "Add a rate").click().run()
    assert button(app, "Race 8 rates")
    assert not [each for each in app.button if each.label == "Add a rate"]


def test_a_rate_chosen_twice_is_said_and_stops_the_start(visit):
    app = choose_lamps(visit("retraining", mode="race"))
    app.select_slider(key="learning_rate_2").set_value(1.0).run()
    assert "A learning rate is listed twice; each lane needs its own." in texts(app)
    assert button(app, "Race 3 rates").disabled


def test_a_folder_outside_the_roots_is_refused_with_a_sentence(visit, tmp_path):
    draw_photos(tmp_path / "elsewhere")
    app = visit("retraining")
    app.selectbox(key="photos").set_value("a folder on this machine").run()
    app.text_input(key="folder").set_value(str(tmp_path / "elsewhere")).run()
    assert "is outside the folders that photos may come from" in texts(app)
    assert button(app, "Race 3 rates").disabled


def test_a_folder_below_the_roots_is_looked_at(visit, tmp_path):
    draw_photos(tmp_path / "data" / "signals", ("green", "red"))
    app = visit("retraining")
    app.selectbox(key="photos").set_value("a folder on this machine").run()
    app.text_input(key="folder").set_value(str(tmp_path / "data" / "signals")).run()
    assert "**signals** · 2 classes, 40 photos" in texts(app)
    assert not button(app, "Race 3 rates").disabled


@pytest.mark.parametrize(
    "classes, each, sentence",
    [
        pytest.param((), 0, "It should hold one folder per class", id="empty"),
        pytest.param(("red",), 30, "has one class only, red", id="one class"),
        pytest.param(("red", "green"), 4, "at least 20 are needed", id="few photos"),
    ],
)
def test_photos_that_cannot_be_learnt_from_stop_the_start(visit, tmp_path, classes, each, sentence):
    (tmp_path / "data" / "bad").mkdir()
    draw_photos(tmp_path / "data" / "bad", classes, each)
    app = visit("retraining")
    app.selectbox(key="photos").set_value("a folder on this machine").run()
    app.text_input(key="folder").set_value(str(tmp_path / "data" / "bad")).run()
    assert sentence in texts(app)
    assert button(app, "Race 3 rates").disabled


def test_unreadable_and_equal_photos_are_named_and_stop_nothing(visit, home, tmp_path):
    lamps = tmp_path / "lab" / "datasets" / "lamps"
    (lamps / "red" / "zz.jpg").write_bytes(b"")
    (lamps / "red" / "copy.jpg").write_bytes((lamps / "green" / "000.jpg").read_bytes())
    app = choose_lamps(visit("retraining"))
    assert "red/zz.jpg" in texts(app)
    assert "with the same content in two classes" in texts(app)
    assert not button(app, "Race 3 rates").disabled


@pytest.fixture
def classifier_ends(home):
    """Ends the process that distorts photos for the page."""
    yield
    lab.classifier().close()


def samples(app) -> list[tuple[str, str]]:
    """What is written for those who cannot see the distorted photos, and which pictures they are."""
    images = [image.proto.imgs[0] for image in app.image]
    return [(image.alt, image.url) for image in images if "distorted" in image.alt]


@pytest.mark.usefixtures("classifier_ends")
def test_distortions_are_shown_on_a_photo_and_are_part_of_the_run(visit, home):
    app = choose_lamps(visit("retraining", mode="single"))
    assert "All off: every photo goes through the backbone once." in texts(app)
    assert samples(app) == []
    app.toggle(key="flip_left_right").set_value(True).run()
    flipped = samples(app)
    assert flipped[0][0] == "green/000.jpg distorted, 1 of 8"
    assert len(flipped) == 8
    assert len({url for _, url in flipped}) == 2  # as it is, or mirrored
    app.slider(key="random_crop").set_value(30).run()
    app.slider(key="random_scale").set_value(20).run()
    app.slider(key="random_brightness").set_value(10).run()
    assert len({url for _, url in samples(app)}) == 8
    app.button(key="other_samples").click().run()
    assert samples(app)[0][0] == "red/000.jpg distorted, 1 of 8"
    button(app, "Start training").click().run()
    run = finished(home)
    asked = {"flip_left_right": True, "random_crop": 30, "random_scale": 20, "random_brightness": 10}
    assert {name: getattr(run.spec, name) for name in choices.DISTORTIONS} == asked
    app = visit("retraining", run=run.id)
    app.session_state["run_tabs"] = "Settings"
    app.run()
    rows = dict(app.table[0].value[["Setting", "Value"]].itertuples(index=False))
    assert rows["Distortions"] == "flip, crop 30%, scale 20%, brightness ±10%"


@pytest.mark.usefixtures("classifier_ends")
def test_a_photo_that_was_broken_since_it_was_looked_at_is_named_where_the_samples_would_be(visit, home, tmp_path):
    app = choose_lamps(visit("retraining"))
    (tmp_path / "lab" / "datasets" / "lamps" / "green" / "000.jpg").write_bytes(b"words")
    app.toggle(key="flip_left_right").set_value(True).run()
    assert "`green/000.jpg` cannot be shown: This picture cannot be used: the content is no JPEG" in texts(app)
    assert samples(app) == []
    app.button(key="other_samples").click().run()
    assert len(samples(app)) == 8


@pytest.mark.usefixtures("classifier_ends")
def test_what_distortions_cost_is_said_against_the_run_without(visit, home):
    app = choose_lamps(visit("retraining"))
    app.slider(key="random_crop").set_value(10).run()
    every = "every step runs 100 changed photos through the backbone."
    assert f"The first run measures how long it takes on this CPU: {every}" in texts(app)
    finished(home, start(visit, home))
    app = choose_lamps(visit("retraining"))
    app.slider(key="random_crop").set_value(10).run()
    said = next(caption.value for caption in app.caption if caption.value.startswith("About"))
    assert re.fullmatch(f"About .+ instead of .+ on this CPU: {every}", said)


def start(visit, home, seed=0, mode="race"):
    """The id of a run as the form starts it, of 500 steps."""
    return start_all(home, (RACE if mode == "race" else SINGLE)._replace(seed=seed), wait=False)[0]


def test_a_finished_race_has_a_verdict_and_a_table_from_the_same_rows(ran):
    run = ran(RACE)
    app = open_page("retraining", run=run.id)
    assert f"**Keep lr {run.story.last(RaceResult).kept}:" in texts(app)
    table = app.dataframe[0].value
    assert list(table.columns) == [
        "Learning rate", "Test accuracy", "Best validation", "Best at step", "Plateau at step",
        "Plateau at seconds", "Spread",
    ]  # fmt: skip
    kept = run.story.by_lane(LaneResult)[run.story.last(RaceResult).kept]
    assert table["Learning rate"][0] == f"lr {kept.lane} · kept"
    assert table["Test accuracy"][0].startswith(f"{kept.test_accuracy * 100:.1f}% (")
    assert table["Test accuracy"][0].endswith(f"N={kept.test_n})")
    assert table["Best at step"][0] == f"{kept.best_step:,}"


def test_a_run_that_fails_while_exporting_still_shows_what_was_learned(visit, home):
    run = finished(home, start(visit, home))
    told = events.Reader(run.folder.events).read()
    kept = told.index(next(event for event in told if isinstance(event, events.Kept)))
    Path(run.folder.events).unlink()
    error = events.Error(told[kept].t, "disk_full", "The disk is full.", "Free some space and start again.")
    events.append(run.folder.events, *told[: kept + 2], error, events.State(told[kept].t, events.FAILED, 0))
    app = visit("retraining", run=run.id)
    assert "The disk is full." in texts(app)
    assert f"**Keep lr {run.story.kept}:" in texts(app)
    assert len(app.dataframe[0].value) == 3


def test_a_finished_single_run_has_four_figures_and_a_row_for_each_class(ran):
    run = ran(SINGLE)
    app = open_page("retraining", run=run.id)
    assert [metric.label for metric in app.metric] == ["Test accuracy", "Best validation", "Time to 85%", "Training"]
    result = run.story.by_lane(LaneResult)["0.01"]
    assert app.metric[0].value == f"{result.test_accuracy * 100:.1f}%"
    assert list(app.dataframe[0].value["Class"]) == ["green", "red", "yellow"]
    assert app.dataframe[0].value["Test photos"].sum() == result.test_n


def test_the_address_of_a_run_shows_it_again_in_another_session(ran):
    run_id = ran(RACE).id
    first, second = open_page("retraining", run=run_id), open_page("retraining", run=run_id)
    assert [each.value for each in first.markdown] == [each.value for each in second.markdown]


def test_an_unknown_run_is_a_sentence(visit):
    app = visit("retraining", run="20200101-000000-abcdef")
    assert "There is no run '20200101-000000-abcdef'. It may have been deleted." in texts(app)
    app = visit("retraining", run="../../etc")
    assert "There is no run" in texts(app)


def test_a_failed_run_says_what_happened_and_starts_again(ran):
    run = ran(RACE._replace(seed=901))
    app = open_page("retraining", run=run.id)
    assert "**Out of memory while computing bottlenecks.** Close other programs" in texts(app)
    assert "ResourceExhaustedError" in app.code[0].value
    button(app, "Start again with these settings").click().run()
    again = finished(run.folder.home, app.query_params["run"])
    assert again.id != run.id
    assert again.spec == run.spec


def test_a_worker_killed_without_a_word_is_lost_and_not_running(ran):
    run = ran(RACE._replace(seed=907))
    app = open_page("retraining", run=run.id)
    assert "The worker died without a word." in texts(app)
    assert button(app, "Start again with these settings")


def test_a_diverged_lane_is_named_and_the_others_have_their_figures(ran):
    run = ran(RACE._replace(seed=903))
    app = open_page("retraining", run=run.id)
    assert "**lr 1.0 diverged.**" in texts(app)
    table = app.dataframe[0].value
    assert table["Learning rate"].iloc[-1] == "lr 1.0"
    assert table["Plateau at step"].iloc[-1] == "diverged"


def test_photos_left_out_and_warnings_are_listed(ran):
    app = open_page("retraining", run=ran(RACE._replace(seed=904)).id)
    assert "`green/000.jpg`: The file is empty." in texts(app)
    assert "The cache was damaged" in texts(open_page("retraining", run=ran(RACE._replace(seed=906)).id))


def test_a_running_run_shows_its_settings_and_can_be_cancelled(visit, home):
    run_id = start(visit, home, seed=905)  # takes a minute
    app = visit("retraining", run=run_id)
    assert "**This run**" in texts(app)
    assert list(app.table[0].value["Setting"])[:2] == ["Photos", "Backbone"]
    waiting = start(visit, home)
    queued = visit("retraining", run=waiting)
    assert "number 2 in line, behind Lamps · MobileNet v2 · 3 learning rates" in texts(queued)
    wait_until(lambda: open_run(home, run_id).story.curves)
    app.button(key="cancel").click().run()
    assert finished(home, run_id).state == "cancelled"
    app = visit("retraining", run=run_id)
    assert "you stopped it" in texts(app)
    assert button(app, "Start again with these settings")
    assert "Download" in [each.label for each in app.get("download_button")]  # what was learnt until then
    assert finished(home, waiting).state == "done"


def test_the_cost_is_said_once_it_has_been_measured_here(visit, home):
    app = choose_lamps(visit("retraining"))
    assert "The first run measures how long it takes on this CPU." in texts(app)
    finished(home, start(visit, home))
    app = choose_lamps(visit("retraining"))
    assert "as measured here" in texts(app)


def test_a_photo_that_is_gone_is_said(visit, home, tmp_path):
    run = finished(home, start(visit, home, mode="single"))
    for file in run.predictions()["files"]:
        (tmp_path / "lab" / "datasets" / "lamps" / file).unlink()
    app = visit("retraining", run=run.id)
    app.session_state["run_tabs"] = "Hardest photos"
    app.run()
    shown = next(caption.value for caption in app.caption if caption.value.startswith("No longer readable"))
    assert shown.count(".jpg (") > 0
    assert shown.count(".jpg (") == sum(
        true != said
        for true, said in zip(
            run.predictions()["truth"],
            run.predictions()["lanes"][run.story.last(RaceResult).kept]["predicted"],
            strict=True,
        )
    )


def test_the_settings_of_a_finished_run_stand_beside_it_and_are_copied_from_there(visit, start):
    (run,) = start(RaceSpec(learning_rates=(0.02,), steps=500, seed=9))
    app = visit("retraining", run=run.id)  # a visitor who has chosen nothing
    assert "**This run**" in texts(app)
    shown = dict(zip(app.table[0].value["Setting"], app.table[0].value["Value"], strict=True))
    assert (shown["Learning rate"], shown["Steps"], shown["Seed"]) == ("0.02", "500", "9")
    assert not [each for each in app.button if each.label == "Start training"]
    button(app, "Copy settings").click().run()
    assert not app.exception
    assert app.select_slider(key="learning_rate").value == 0.02
    assert app.select_slider(key="steps").value == 500
    assert app.number_input(key="seed").value == 9
    assert button(app, "Start training")


def test_a_new_run_begins_with_what_was_chosen_last(visit, start):
    (run,) = start(RaceSpec(learning_rates=(0.02,), steps=500))
    app = visit("retraining", run=run.id)
    button(app, "New run").click().run()
    assert app.select_slider(key="steps").value == RaceSpec().steps
    assert "run" not in app.query_params
