"""One question or run a screen, and the ways there and back."""

from engine.contract.kinds.race import RaceSpec
from engine.questions import questions
from engine.questions.questions import Question
from tests.pages.test_retraining import texts
from tests.pages.test_runs import SINGLE, choose

RACE = RaceSpec()


def title(app) -> str:
    return app.title[0].value


def press(app, key):
    app.button(key=key).click().run()
    assert not app.exception
    return app


def test_arrow_keys_lead_from_question_to_question_and_escape_back_to_the_page(visit):
    asked: list[Question] = questions.read_all()
    app = visit("present", q="2")
    assert title(app) == f"2. {asked[1].question}"
    assert f"2 of {len(asked)}" in texts(app)
    assert len(app.sidebar.children) == 0
    assert {key: app.button(key=key).proto.shortcut for key in ("left", "right", "leave")} == {
        "left": "left",
        "right": "right",
        "leave": "escape",
    }
    assert title(press(app, "right")).startswith("3. ")
    assert app.query_params["q"] == "3"
    assert title(press(press(app, "left"), "left")).startswith("1. ")
    assert app.button(key="left").disabled
    press(app, "leave")
    assert title(app) == "Q&A"
    assert app.radio(key="question").value == 1


def test_chosen_runs_follow_each_other_and_one_that_is_gone_says_so(visit, start):
    race, single = start(RACE, SINGLE)
    app = visit("present", runs=f"{race.id},{single.id},gone", at="1")
    assert title(app).replace("\\", "") == race.title
    kept = race.story.kept
    assert f"**Keep lr {kept}: " in texts(app)
    assert app.get("vega_lite_chart")
    assert next(iter(app.table[0].value["Learning rate"])).startswith(f"lr {kept}")
    press(app, "right")
    assert title(app).replace("\\", "") == single.title
    press(app, "right")
    assert "There is no run 'gone'. It may have been deleted." in texts(app)
    assert app.button(key="right").disabled
    assert title(press(app, "leave")) == "Runs"


def test_one_run_leads_back_to_its_page_and_nonsense_to_the_first_question(visit, start):
    (single,) = start(SINGLE)
    app = press(visit("present", run=single.id), "leave")
    assert title(app) == "Retraining"
    assert app.query_params["run"] == single.id
    assert title(visit("present", runs=f"{single.id},{single.id}", at="99")).replace("\\", "") == single.title
    assert title(visit("present", q="abc")).startswith("1. ")


def test_the_page_runs_and_a_run_lead_to_screen_and_report(visit, start):
    first, second = start(SINGLE, SINGLE)
    app = choose(visit("runs"), 1, 0, 1)
    (link,) = [each.proto for each in app.get("page_link") if each.proto.label == "Present"]
    assert link.query_string == f"runs={first.id}%2C{second.id}"
    app = visit("retraining", run=first.id)
    (link,) = [each.proto for each in app.get("page_link") if each.proto.label == "Present"]
    assert link.query_string == f"run={first.id}"
    assert {"One HTML file", "Markdown in a zip"} <= {each.label for each in app.get("download_button")}
