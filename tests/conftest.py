"""What all tests share."""

import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import hypothesis
import pytest
from playwright.sync_api import Browser, sync_playwright

from tests.skips import pytest_make_collect_report, pytest_runtest_makereport  # noqa: F401, hooks
from tools.setup import find_chromium

# As workers do, before numpy is loaded: two threads that wait for each other take ten times as long on a busy machine.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

# What a shell starts in the background ignores SIGINT, and so do all its children: Ctrl+C could not be tested there.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

# A busy machine is no fault of the code: examples may take as long as they take.
hypothesis.settings.register_profile(
    "lab", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow], print_blob=True
)
hypothesis.settings.load_profile("lab")


@pytest.fixture(scope="session")
def chromium_path() -> str:
    """The Chromium of `make chromium`. Browser tests are no tests where they are skipped: its absence is a failure."""
    path = find_chromium(sys.executable)
    if not path:
        pytest.fail("The browser tests need Chromium: make chromium", pytrace=False)
    return path


@pytest.fixture(scope="session")
def browser(chromium_path: str) -> Iterator[Browser]:
    """One for all tests: a second Playwright cannot start in the thread of a first."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium_path, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture(scope="session")
def test_data() -> Path:
    """The folder LAB_TEST_DATA: photos and original files that are too large for the repository."""
    folder = os.environ.get("LAB_TEST_DATA")
    if not folder:
        pytest.skip("LAB_TEST_DATA names no folder with the larger test data")
    return Path(folder)
