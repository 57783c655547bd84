"""tests/skips.py: with LAB_TEST_NO_SKIPS=1 a skip is a failure, but for those that it lists."""

import os
import subprocess
import sys

import pytest

from tests import skips

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
HOOKS = "from tests.skips import pytest_make_collect_report, pytest_runtest_makereport\n"
SKIPPING = """
import pytest

@pytest.fixture
def nginx():
    pytest.skip("nginx is not installed")

def test_in_its_body():
    pytest.skip("there is no npm here")

def test_in_a_fixture(nginx):
    pass

@pytest.mark.skipif(True, reason="there is no .venv36")
def test_by_a_mark():
    pass

@pytest.mark.xfail
def test_known_to_fail():
    assert False

def test_allowed():
    pytest.skip("this machine has a GPU")

def test_passing():
    pass
"""
ABSENT = "import pytest\npytest.importorskip('nowhere')\ndef test_of_a_whole_file():\n    pass\n"


def run_pytest(folder, no_skips):
    """What pytest's last line counts, as {"passed": 1, ...}, and all that it says."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}
    process = subprocess.Popen(
        [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "--rootdir", folder, "-ra", folder],
        env=dict(kept, PYTHONPATH=ROOT, LAB_TEST_NO_SKIPS=no_skips),
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        universal_newlines=True,
    )
    said = process.communicate()[0]
    words = said.strip().splitlines()[-1].strip("= ").partition(" in ")[0].split(", ")
    return {word.split()[1]: int(word.split()[0]) for word in words}, said


@pytest.fixture
def folder(tmp_path):
    for name, text in (("conftest.py", HOOKS), ("test_here.py", SKIPPING), ("test_absent.py", ABSENT)):
        (tmp_path / name).write_text(text)
    (tmp_path / "pytest.ini").write_text("[pytest]\naddopts = --continue-on-collection-errors\n")
    return str(tmp_path)


def test_skips_are_skips_where_nothing_is_asked(folder):
    assert run_pytest(folder, "0")[0] == {"passed": 1, "xfailed": 1, "skipped": 5}


def test_every_skip_but_the_listed_is_a_failure_that_says_its_reason(folder):
    counts, said = run_pytest(folder, "1")
    # The one in a test's body fails; by a mark, in a fixture and for a whole file it is an error before the test.
    assert counts == {"passed": 1, "xfailed": 1, "skipped": 1, "failed": 1, "errors": 3}
    for reason in ("no npm here", "no .venv36", "nginx is not installed", "could not import 'nowhere'"):
        assert reason in said
    assert "tests/skips.py" in said


def test_each_listed_one_has_its_reason():
    assert all(words and reason for words, reason in skips.ALLOWED)
    assert len(skips.ALLOWED) <= 6
