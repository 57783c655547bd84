"""A click on a table's header sorts numbers as numbers."""

import pytest
from playwright.sync_api import expect

from tests.browser.test_pages import go

STEP = 24  # pixels between two places of a header that are tried
BOXES = 60  # pixels at the left where a table may have boxes that choose its rows


def cells(table):
    """Headers, with an arrow where the table is sorted by one, and rows, as they are told to those who cannot see."""
    rows = table.locator("table [role=row]").evaluate_all(
        "rows => rows.map(row => [...row.children].map(cell => cell.textContent))"
    )
    return rows[0], rows[1:]


def sorted_columns(page, table, names):
    """Clicks along the header until these columns were sorted; name -> its cells, ascending as the click made them."""
    box, found, x = table.locator("canvas").first.bounding_box(), {}, BOXES
    while x < box["width"] and not names <= set(found):
        before = cells(table)[0]
        page.mouse.click(box["x"] + x, box["y"] + 15)
        for _ in range(20):  # a click on the edge of a column or on its menu changes nothing
            if cells(table)[0] != before:
                break
            page.wait_for_timeout(50)
        page.keyboard.press("Escape")
        headers, rows = cells(table)
        for place, name in enumerate(headers):
            if name.startswith(("↑", "↓")):
                column = [row[place] for row in rows]
                found.setdefault(name.lstrip("↑↓ "), column if name.startswith("↑") else column[::-1])
        x += STEP
    return found


def numbers(column):
    return [float(cell) for cell in column if cell.strip()]


@pytest.mark.parametrize(
    ("state", "names"),
    [
        pytest.param("race done", {"Test accuracy", "Best validation", "Best at step"}, id="race"),
        pytest.param("compared", {"Test accuracy", "Training", "Parameters"}, id="networks"),
        pytest.param("runs", {"Val. acc.", "Time"}, id="runs"),
    ],
)
def test_a_click_on_a_numeric_header_sorts_by_number(visitor, request, state, names):
    here = visitor()
    go(here, request, state)
    table = here.page.locator("[data-testid=stDataFrame]").first
    table.scroll_into_view_if_needed()
    expect(table.locator("table [role=row]").first).to_be_attached()
    found = sorted_columns(here.page, table, names)
    assert names <= set(found), found.keys()
    for name in names:
        column = numbers(found[name])
        assert len(column) > 1
        assert column == sorted(column), name
