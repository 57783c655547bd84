"""All golden runs in one home, and pages that show them."""

from collections.abc import Callable, Iterator

import pytest
from streamlit.testing.v1 import AppTest

from engine.contract.run_folder import LabHome
from tests import golden
from tests.pages.conftest import APP
from tests.shown_tables import read_tables_as_shown
from tests.weights import pretend

read_tables_as_shown()


@pytest.fixture(scope="session")
def golden_home(tmp_path_factory) -> LabHome:
    """Shared, so nothing in it may be changed."""
    home = LabHome(str(tmp_path_factory.mktemp("golden") / "lab"))
    golden.copy(home)
    pretend(home, "mobilenet_v2")
    return home


@pytest.fixture
def visit(golden_home, monkeypatch) -> Iterator[Callable[..., AppTest]]:
    monkeypatch.setenv("LAB_HOME", golden_home.path)
    monkeypatch.setenv("WORKER_MODULE", "tests.fakes.fake_worker")
    for name in ("LAB_DATA", "WORKER_PYTHON"):
        monkeypatch.delenv(name, raising=False)

    def visit(page: str = "", **query: str) -> AppTest:
        """A visitor who opens a page; `page` is a file of pages/, "" is Home."""
        app = AppTest.from_file(APP, default_timeout=120)
        app.query_params.update(query)
        if page:
            app.run()
            app.switch_page(f"pages/{page}.py")
        app.run()
        assert not app.exception
        return app

    return visit
