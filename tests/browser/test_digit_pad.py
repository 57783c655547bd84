"""The field to draw on, alone on a page behind the real door: what a hand does with it, and what arrives."""

import re
import shutil
import subprocess
import sys
from collections.abc import Iterator

import pytest
from playwright.sync_api import Locator, Page, expect

from tests.browser.conftest import PATIENCE, PHONE, ROOT, stop, violations, wait_until

PAGE = f"""
import sys
sys.path.insert(0, {str(ROOT)!r})
import numpy as np
import streamlit as st
from engine.digits import digits
from ui.playground import digit_pad

st.set_page_config(page_title="A field")
st.title("A field")
kept = st.session_state.setdefault("kept", {{"ink": "", "wiped": 0}})

def keep():
    kept["ink"] = digit_pad.drawn()

def wipe():
    kept.update(ink="", wiped=kept["wiped"] + 1)

if st.toggle("Show the field", value=True):
    digit_pad.pad(kept["ink"], kept["wiped"], keep)
st.button("Wipe", on_click=wipe)
if kept["ink"]:
    ink = digits.drawing(kept["ink"])
    rows, columns = np.nonzero(ink > 127)
    shares = [rows.min(), rows.max(), columns.min(), columns.max()] / np.array(ink.shape[0])
    st.write("Ink from", *[f"{{share:.2f}}" for share in shares])
else:
    st.write("Nothing is drawn")
"""


@pytest.fixture(scope="module")
def address(tmp_path_factory) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("field")
    shutil.copy(ROOT / "serve.py", folder)
    shutil.copytree(ROOT / ".streamlit", folder / ".streamlit")
    (folder / "engine").symlink_to(ROOT / "engine")
    (folder / "streamlit_app.py").write_text(PAGE)
    with open(folder / "stderr.txt", "w") as errors:
        process = subprocess.Popen(
            [sys.executable, folder / "serve.py", "--port", "0", "--no-browser"],
            cwd=folder,
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
        )
    assert process.stdout
    found = re.search(r"http://\S+", process.stdout.readline())
    assert found, (folder / "stderr.txt").read_text()
    yield found[0]
    stop(process)


@pytest.fixture
def page(address: str, browser) -> Iterator[Page]:
    context = browser.new_context()
    context.set_default_timeout(PATIENCE)
    page = context.new_page()
    page.goto(address)
    yield page
    context.close()


def field(page: Page) -> Locator:
    return page.get_by_role("img", name=re.compile("^Drawing field"))


def stroke(page: Page, *shares: tuple[float, float]) -> None:
    """Draw with the mouse through places given in shares of the field, and say so to nobody else."""
    box = field(page).bounding_box()
    assert box
    places = [(box["x"] + x * box["width"], box["y"] + y * box["height"]) for x, y in shares]
    page.mouse.move(*places[0])
    page.mouse.down()
    for place in places[1:]:
        page.mouse.move(*place, steps=5)
    page.mouse.up()


def dark_pixels(page: Page) -> int:
    return field(page).evaluate(
        "canvas => canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height).data"
        ".filter((value, at) => at % 4 === 0 && value < 128).length"
    )


# The brush is a twelfth of the field: its ends stand out by 0.04.
UPRIGHT = "Ink from 0.16 0.84 0.46 0.54"


def test_each_stroke_arrives_and_undo_and_clear_take_it_back(page: Page) -> None:
    expect(page.get_by_text("Nothing is drawn")).to_be_visible()
    stroke(page, (0.5, 0.2), (0.5, 0.8))
    expect(page.get_by_text(UPRIGHT)).to_be_visible()
    stroke(page, (0.2, 0.5), (0.8, 0.5))
    expect(page.get_by_text("Ink from 0.16 0.84 0.16 0.84")).to_be_visible()
    page.get_by_role("button", name="Undo").click()
    expect(page.get_by_text(UPRIGHT)).to_be_visible()
    page.get_by_role("button", name="Clear").click()
    expect(page.get_by_text("Nothing is drawn")).to_be_visible()
    assert dark_pixels(page) == 0


def test_a_dot_is_a_stroke_and_one_that_leaves_the_field_goes_on(page: Page) -> None:
    stroke(page, (0.5, 0.5))
    expect(page.get_by_text("Ink from 0.46 0.54 0.46 0.54")).to_be_visible()
    stroke(page, (0.9, 0.5), (1.5, 0.5), (1.5, 0.9), (0.9, 0.9))
    expect(page.get_by_text("Ink from 0.46 0.94 0.46 1.00")).to_be_visible()


def test_the_buttons_are_reached_and_pressed_by_keyboard(page: Page) -> None:
    stroke(page, (0.5, 0.2), (0.5, 0.8))
    expect(page.get_by_text(UPRIGHT)).to_be_visible()
    page.get_by_role("button", name="Undo").focus()
    page.keyboard.press("Tab")
    expect(page.get_by_role("button", name="Clear")).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.get_by_text("Nothing is drawn")).to_be_visible()


def test_a_drawing_outlives_a_look_elsewhere_and_the_page_can_wipe_it(page: Page) -> None:
    stroke(page, (0.5, 0.2), (0.5, 0.8))
    expect(page.get_by_text(UPRIGHT)).to_be_visible()
    drawn = dark_pixels(page)
    page.get_by_text("Show the field").click()
    expect(field(page)).to_have_count(0)
    page.get_by_text("Show the field").click()
    expect(field(page)).to_be_visible()
    wait_until(lambda: abs(dark_pixels(page) - drawn) < 100, 60)  # the picture has been decoded
    stroke(page, (0.2, 0.5), (0.8, 0.5))
    expect(page.get_by_text("Ink from 0.16 0.84 0.16 0.84")).to_be_visible()
    page.get_by_role("button", name="Wipe").click()
    expect(page.get_by_text("Nothing is drawn")).to_be_visible()
    wait_until(lambda: dark_pixels(page) == 0, 60)
    stroke(page, (0.5, 0.2), (0.5, 0.8))
    expect(page.get_by_text(UPRIGHT)).to_be_visible()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_finger_draws_and_does_not_scroll(address: str, browser, scheme: str) -> None:
    context = browser.new_context(
        viewport={"width": 390, "height": 500}, is_mobile=True, has_touch=True, user_agent=PHONE, color_scheme=scheme
    )
    context.set_default_timeout(PATIENCE)
    page = context.new_page()
    page.goto(address)
    field(page).scroll_into_view_if_needed()
    box = field(page).bounding_box()
    assert box
    touch = context.new_cdp_session(page)  # Playwright's own touchscreen only taps
    scroll = "document.querySelector('[data-testid=stMain]').scrollTop"
    before = page.evaluate(scroll)
    for kind, share in [("touchStart", 0.8), ("touchMove", 0.5), ("touchMove", 0.2), ("touchEnd", None)]:
        points = [] if share is None else [{"x": box["x"] + box["width"] / 2, "y": box["y"] + share * box["height"]}]
        touch.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})
    expect(page.get_by_text(UPRIGHT)).to_be_visible()
    assert page.evaluate(scroll) == before
    corner = "canvas => [...canvas.getContext('2d').getImageData(0, 0, 1, 1).data]"
    assert field(page).evaluate(corner) == [255, 255, 255, 255]  # white paper in both schemes
    assert violations(page) == []
    context.close()
