import re
import time

import pytest
from markdown_it import MarkdownIt

from engine.words import age, count, duration, plain, size


@pytest.mark.parametrize(
    "seconds, words",
    [
        (0.021, "21 ms"),
        (1.0, "1 s"),
        (38.2, "38 s"),
        (59.6, "1m 00s"),
        (64, "1m 04s"),
        (2890, "48m 10s"),
        (7500, "2h 05m"),
    ],
)
def test_durations(seconds, words):
    assert duration(seconds) == words


def test_ages():
    noon = time.mktime((2026, 11, 22, 12, 0, 0, 0, 0, -1))
    assert age(noon - 20, noon) == "now"
    assert age(noon - 12 * 60, noon) == "12 min ago"
    assert age(noon - 2 * 3600, noon) == "2 h ago"
    assert age(noon - 20 * 3600, noon) == "yesterday"
    assert age(noon - 19 * 86400, noon) == "3 Nov 2026"


def test_counts_and_sizes():
    assert [count(1, "photo"), count(1484, "photo"), count(3, "class")] == ["1 photo", "1,484 photos", "3 classes"]
    assert [size(812e3), size(14.2e6), size(4.7e9)] == ["812 KB", "14.2 MB", "4.7 GB"]


@pytest.mark.parametrize(
    "text", ["a_b *c* `d`", "<b>", "[x](y)", "# 1 | 2", ":red[hot] :smile:", "$5 ~ 6$", "!", "C:\\x"]
)
def test_titles_are_shown_as_they_are_written(text):
    (paragraph,) = MarkdownIt("commonmark").enable(["table", "strikethrough"]).parseInline(plain(text))
    assert [child.type for child in paragraph.children if child.type not in ("text", "text_special")] == []
    assert "".join(child.content for child in paragraph.children) == text
    # What Streamlit adds to Markdown: colours, icons and formulas.
    assert not re.search(r"(?<!\\)(:\w|\$)", plain(text))


def test_a_sentence_stays_readable_as_text():
    assert plain("Photos: 3 (of 5), 10% more - fine.") == "Photos: 3 (of 5), 10% more - fine."
