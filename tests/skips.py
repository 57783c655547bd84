"""Which tests may be left out. With LAB_TEST_NO_SKIPS=1 every other skip is a failure. Python 3.6.

The conftest files import the two hooks; tools/setup.py asks the same variable before it leaves out a whole environment.
"""

import os
import re
import sys

import pytest

# What a skip says, and why that test may be missing there: nobody could make it run on such a machine.
ALLOWED = [
    (r"LAB_TEST_DATA names no folder", "photos and graphs too large for the repository: not everybody has them"),
    (r"this machine has a GPU", "what is said where there is none"),
    (r"not on a Mac: ", "its browser lies outside PATH, and hadolint comes for Linux alone"),
    (r"no Debian", "apt-get and dpkg-deb are Debian's"),
]
if sys.version_info < (3, 7):  # noqa: UP036 (the oldest that ruff knows is 3.7)
    ALLOWED.append((r"could not import 'ai_edge_litert'", "LiteRT has no build for Python 3.6"))


def refuse(report):
    """Turn the report of a skip that is not allowed into one of a failure."""
    wanted = os.environ.get("LAB_TEST_NO_SKIPS", "") not in ("", "0")
    if not wanted or not report.skipped or hasattr(report, "wasxfail"):
        return
    reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
    if not any(re.search(words, reason) for words, _ in ALLOWED):
        report.outcome = "failed"
        report.longrepr = f"{report.nodeid}: {reason}\nLAB_TEST_NO_SKIPS allows only what tests/skips.py lists."


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    outcome = yield
    refuse(outcome.get_result())


@pytest.hookimpl(hookwrapper=True)
def pytest_make_collect_report(collector):
    outcome = yield
    refuse(outcome.get_result())
