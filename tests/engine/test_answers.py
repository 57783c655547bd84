import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from engine.contract.run_folder import LabHome
from engine.errors import EngineError
from engine.questions import answers


@pytest.fixture
def home(tmp_path) -> LabHome:
    return LabHome(str(tmp_path))


def test_versions_are_kept_and_the_newest_comes_first(home):
    assert answers.versions(home, 8) == []
    first = answers.save(home, 8, "First\r\n\r\nof two.\0", "").version
    second = answers.save(home, 8, "Second.", first.name).version
    assert [each.text for each in answers.versions(home, 8)] == ["Second.", "First\n\nof two."]
    assert answers.newest(home, 8) == second
    assert abs(second.saved - time.time()) < 60
    assert answers.versions(home, 9) == []


def test_saving_the_same_again_makes_no_version(home):
    first = answers.save(home, 8, "Same.", "").version
    assert answers.save(home, 8, "Same.\n", first.name) == answers.Saved(first, None)
    assert len(answers.versions(home, 8)) == 1


def test_two_people_who_edit_one_version_lose_neither(home):
    first = answers.save(home, 8, "Begun.", "").version
    mine = answers.save(home, 8, "Mine.", first.name)
    theirs = answers.save(home, 8, "Theirs.", first.name)
    assert (mine.missed, theirs.missed) == (None, mine.version)
    assert [each.text for each in answers.versions(home, 8)] == ["Theirs.", "Mine.", "Begun."]


def test_answers_saved_in_the_same_moment_get_names_of_their_own(home):
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda number: answers.save(home, 8, f"Answer {number}", ""), range(40)))
    assert {each.text for each in answers.versions(home, 8)} == {f"Answer {number}" for number in range(40)}


def test_an_answer_that_is_too_long_is_refused_with_both_numbers(home):
    with pytest.raises(EngineError, match="has 20,001 characters; shorten it to 20,000"):
        answers.save(home, 8, "a" * 20_001, "")
    assert answers.versions(home, 8) == []


def test_what_was_put_beside_the_versions_is_left_out(home):
    kept = answers.save(home, 8, "Kept.", "").version
    folder = answers._folder(home, 8)
    (folder / "notes.md").write_text("no version")
    (folder / "20261125-211502-004213.md").write_bytes(b"\xff\xfe no UTF-8")
    assert answers.versions(home, 8) == [kept]


def test_a_folder_that_cannot_be_written_is_said(home, tmp_path):
    (tmp_path / "answers").write_text("a file in the way")
    with pytest.raises(EngineError, match="cannot be written to"):
        answers.save(home, 8, "Lost.", "")


def test_pictures_of_other_hosts_become_links():
    assert answers.harmless("![cat](http://example.org/cat.png) ![a][b]") == "[cat](http://example.org/cat.png) [a][b]"
