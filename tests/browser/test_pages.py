"""Every page and state: no accessibility violation, no other host, no sideways scrolling on a phone."""

from urllib.parse import urlsplit

import pytest
from playwright.sync_api import expect

from tests.browser.conftest import at_rest

# state: which lab, address, the run in it, words that are there once the page is whole
STATES = {
    "home, first visit": ("empty_lab", "/", "", "No runs yet. Three ways to start"),
    "home with runs": ("lab", "/", "", "Accuracy against time"),
    "photos shown": ("empty_lab", "/retraining", "", "Lamps · 3 classes, 60 photos"),
    "single run form": ("empty_lab", "/retraining?mode=single", "", "Start training"),
    "running": ("lab", "/retraining?run=", "running", "The table of the race arrives after Evaluating."),
    "queued": ("lab", "/retraining?run=", "queued", "number 2 in line"),
    "race done": ("lab", "/retraining?run=", "race", "Ordered by validation accuracy"),
    "single done": ("lab", "/retraining?run=", "single", "Time to 85%"),
    "threads compared": ("lab", "/retraining?compare=pair", "", "Neither run reads or keeps bottlenecks"),
    "depths compared": ("lab", "/retraining?run=", "tuned", "All depths began with the same head"),
    "batch sizes tried": ("lab", "/retraining?run=", "sizes", "Take batches of 4"),
    "learning curve": ("lab", "/retraining?run=", "learning curve", "Each figure is the mean of 5 seeds"),
    "failed": ("lab", "/retraining?run=", "failed", "Out of memory while computing bottlenecks."),
    "diverged": ("lab", "/retraining?run=", "diverged", "lr 1.0 diverged."),
    "photos left out": ("lab", "/retraining?run=", "skipped", "2 photos left out"),
    "lost": ("lab", "/retraining?run=", "lost", "The worker died without a word."),
    "cancelled": ("lab", "/retraining?run=", "cancelled", "you stopped it"),
    "no such run": ("empty_lab", "/retraining?run=", "", "20200101-000000-abcdef"),
    "digits to fetch": ("empty_lab", "/mnist", "", "MNIST is not on this machine yet."),
    "networks chosen": ("empty_lab", "/mnist", "", "Nothing trained yet"),
    "builder": ("empty_lab", "/mnist?build=1", "", "Build a network"),
    "comparing": ("lab", "/mnist?run=", "comparing", "Test accuracy arrives after Evaluating."),
    "compared": ("lab", "/mnist?run=", "compared", "Each network met the test images once"),
    "many pictures": ("lab", "/playground?run=", "pictures", "pictures that the model learned from are not counted"),
    "many pictures, form": ("empty_lab", "/playground?many=1", "", "A run of its own"),
    "runs": ("lab", "/runs", "", "Select one to open"),
    "device": ("lab", "/device", "", "Processes of the lab"),
    "presented": ("lab", "/present?run=", "race", "lr 0.005"),
    "runs beside each other": ("lab", "/runs?compare=", "race and single", "Each run by the lane that it kept"),
    "no runs": ("empty_lab", "/runs", "", "No runs yet."),
    "question answered": ("lab", "/qa?q=8", "", "Measured here: 20"),
    "all questions, nothing measured": ("empty_lab", "/qa?all=1", "", "What did the coursework measure"),
}


def go(visitor, request, state):
    which, address, run, words = STATES[state]
    lab = request.getfixturevalue(which)
    if address.endswith("="):
        address += lab.runs[run] if run else words
    page = visitor.page
    page.goto(lab.url + address)
    if state == "photos shown" or state == "single run form":
        choose_lamps(page)
    if state == "networks chosen":
        choose_bars(page)
        page.mouse.move(1, 1)  # off whatever came to lie under the pointer: what is hovered has other colours
    if state == "device":
        expect(page.get_by_text("out-of-memory risk")).to_be_visible()
        page.get_by_text("Live", exact=True).click()  # what is drawn anew every second is paler for a moment
    expect(page.get_by_text(words).first).to_be_visible()
    at_rest(page)
    return lab


def choose_lamps(page):
    """On a phone the form is folded where it is not in the way: it is open here."""
    page.get_by_role("combobox", name="Photos").click()
    page.get_by_role("option", name="Lamps").click()


def choose_bars(page):
    page.get_by_role("combobox", name="Data").click()
    page.get_by_role("option", name="Bars").click()


def turns_dark(here):
    """The system has changed its scheme, and the page has followed by itself."""
    expect(here.page.get_by_test_id("stApp")).to_have_css("color-scheme", "dark")
    # The one rule that pages send in the dark (ui/frame.py) tells that the server knows.
    sent = "() => [...document.querySelectorAll('style')].some(e => e.textContent.includes('stBaseButton-primary'))"
    here.page.wait_for_function(sent)


@pytest.mark.parametrize("state", STATES)
def test_axe_finds_nothing_in_either_scheme_nor_on_a_phone_which_never_scrolls_sideways(visitor, request, state):
    here, phone = visitor("light"), visitor("light", phone=True)
    lab = go(here, request, state)
    assert here.violations() == []
    here.page.emulate_media(color_scheme="dark")
    go(phone, request, state)  # meanwhile the dark page is drawn
    assert phone.overflow() <= 0
    assert phone.violations() == []
    turns_dark(here)
    assert here.violations() == []
    assert {urlsplit(url).netloc for url in here.requested if url.startswith("http")} == {urlsplit(lab.url).netloc}


TABS = {
    "race done": ["Confusion", "Hardest photos", "Settings", "Log"],
    "compared": ["Why", "Confusion", "Mistakes", "Draw a digit", "Layers", "Leaderboard", "Settings", "Log"],
}


@pytest.mark.parametrize(
    ("scheme", "phone", "state"),
    [
        ("light", True, "compared"),
        ("dark", False, "race done"),
        *(
            pytest.param(*each, marks=pytest.mark.thorough)
            for each in [
                ("light", False, "compared"),
                ("dark", False, "compared"),
                ("light", True, "race done"),
                ("light", False, "race done"),
            ]
        ),
    ],
)
def test_axe_finds_nothing_in_the_tabs(visitor, request, state, scheme, phone):
    here = visitor(scheme, phone)
    go(here, request, state)
    for name in TABS[state]:
        tab = here.page.get_by_role("tab", name=name)
        tab.click()
        here.page.mouse.move(1, 1)
        expect(tab).to_have_attribute("aria-selected", "true")
        assert here.violations() == [], name
        assert here.overflow() <= 0, name
