"""The imports point one way: pages -> ui -> engine -> engine.contract <- engine.worker. New files are found."""

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PAGES, UI, ENGINE, CONTRACT, WORKER = "pages", "ui", "engine", "engine.contract", "engine.worker"
OURS = {PAGES, UI, ENGINE, "streamlit_app", "serve", "tools", "tests", "benchmarks"}

# floor of the house -> whom of ours it may know
MAY_KNOW = {
    PAGES: {UI, ENGINE, CONTRACT},
    UI: {UI, ENGINE, CONTRACT},
    ENGINE: {ENGINE, CONTRACT},
    CONTRACT: {CONTRACT},
    WORKER: {WORKER, CONTRACT},
}
HEAVY = ["tensorflow", "tensorflow_hub", "tf_keras", "keras", "ai_edge_litert", "scipy", "sklearn"]
OF_THE_WORKER = {"tensorflow", "tensorflow_hub", "ai_edge_litert", "numpy", "PIL"}  # all that its Python has
OF_THE_WORKER |= {"tensorboard", "google", "h5py"}  # come with TensorFlow; google: protobuf


def modules() -> Iterator[tuple[str, Path]]:
    """(dotted name, file) of every module of the product."""
    for folder in (PAGES, UI, ENGINE):
        for file in sorted((ROOT / folder).rglob("*.py")):
            name = ".".join(file.relative_to(ROOT).with_suffix("").parts)
            yield name.removesuffix(".__init__"), file
    yield "streamlit_app", ROOT / "streamlit_app.py"


def floor(module: str) -> str:
    if module == "streamlit_app":
        return PAGES
    for name in (CONTRACT, WORKER):
        if module == name or module.startswith(name + "."):
            return name
    return module.split(".")[0]


def imported(file: Path) -> set[str]:
    """Dotted names of all that the file imports, in functions too: "engine.worker" for `from engine import worker`."""
    names = set()
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, f"{file} imports relatively; say the whole name"
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
    return names


EVERY_MODULE = [pytest.param(name, file, id=name) for name, file in modules()]


@pytest.mark.parametrize(("name", "file"), EVERY_MODULE)
def test_a_module_knows_only_the_floors_below_it(name, file):
    known = {floor(other) for other in imported(file) if other.split(".")[0] in OURS}
    assert known <= MAY_KNOW[floor(name)]


# Rooms of engine/ and of ui/, from the lowest floor up: a module knows rooms of lower floors, and its own.
FLOORS = {
    ENGINE: (
        "errors words stats interpreter door",
        "contract",
        "settings",
        "worker_programs",
        "assets machine",
        "photos charts runs",
        "kinds digits processes tensorboard",
        "models",
        "questions",
        "report",
        "cli",
        "__main__",
    ),
    UI: (
        "lab sorting",
        "parts rooms blocks",
        "choices machine reports exports compared_curves copied_settings",
        "run_panel tensorboard_panel playground",
        "frame kinds",
        "questions runs",
    ),
}
FLOOR = {
    f"{house}.{room}": at
    for house, floors in FLOORS.items()
    for at, rooms in enumerate(floors)
    for room in rooms.split()
}


def room(module: str) -> str:
    return ".".join(module.split(".")[:2])


@pytest.mark.parametrize(
    ("name", "file"), [case for case in EVERY_MODULE if floor(case.values[0]) in (UI, ENGINE) and "." in case.values[0]]
)
def test_a_room_knows_only_the_rooms_of_lower_floors(name, file):
    house = name.split(".")[0]
    others = {room(other) for other in imported(file) if other.startswith(f"{house}.")} - {
        room(name),
        f"{house}.{house}",
    }
    assert [other for other in sorted(others) if FLOOR[other] >= FLOOR[room(name)]] == []


KINDS = {file.parent.name for file in (ROOT / ENGINE / "kinds").glob("*/kind.py")}


def kind_of(module: str) -> str:
    """The kind of run whose room a module is, or is in; "" for the others."""
    return next((part for part in module.split(".") if part in KINDS), "")


@pytest.mark.parametrize(("name", "file"), [case for case in EVERY_MODULE if kind_of(case.values[0])])
def test_the_room_of_a_kind_knows_no_other_kind(name, file):
    """Its contract apart: an event or a spec may be read wherever somebody looks at several kinds."""
    others = {
        other
        for other in imported(file)
        if other.startswith(("engine.kinds.", "engine.worker.", "ui.kinds.", "engine.cli."))
    }
    assert {kind_of(other) for other in others} <= {kind_of(name), ""}


def test_the_engine_has_twelve_floors_at_most():
    assert len(FLOORS[ENGINE]) <= 12


@pytest.mark.parametrize(
    ("name", "file"), [case for case in EVERY_MODULE if floor(case.values[0]) in (CONTRACT, WORKER)]
)
def test_the_old_floors_need_no_other_package_than_the_workers_python_has(name, file):
    foreign = {other.split(".")[0] for other in imported(file)} - OURS - set(sys.stdlib_module_names)
    assert foreign <= (OF_THE_WORKER if floor(name) == WORKER else set())


def import_in_a_fresh_interpreter(names, blocked):
    """Import the modules where the blocked packages cannot be. Returns the modules that were loaded."""
    code = f"import importlib, sys\nfor name in {blocked!r}: sys.modules[name] = None\n"
    code += f"for name in {names!r}: importlib.import_module(name)\nprint(*sys.modules)"
    ran = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert ran.returncode == 0, ran.stderr
    return set(ran.stdout.split())


def names_on(*floors: str) -> list[str]:
    return [name for name, _ in modules() if floor(name) in floors and not name.endswith("__main__")]


def test_the_dashboard_imports_without_tensorflow():
    scripts = [file for name, file in modules() if floor(name) == PAGES]  # run by Streamlit, so only what they import
    packages = sorted({other.split(".")[0] for file in scripts for other in imported(file)} - OURS)
    import_in_a_fresh_interpreter([*names_on(UI, ENGINE, CONTRACT), *packages, "serve"], HEAVY)


def test_the_engine_imports_without_streamlit():
    import_in_a_fresh_interpreter(names_on(ENGINE, CONTRACT), [*HEAVY, "streamlit", "altair"])


def test_the_contract_imports_nothing_but_the_standard_library():
    loaded = import_in_a_fresh_interpreter(names_on(CONTRACT), [])
    top = {name.split(".")[0] for name in loaded}
    # modules named _... come with the interpreter and its environment (_virtualenv, __editable___...)
    assert {name for name in top - set(sys.stdlib_module_names) if not name.startswith("_")} == {"engine"}


def test_a_worker_waits_in_line_without_having_loaded_tensorflow():
    import_in_a_fresh_interpreter(names_on(WORKER), ["tensorflow", "tensorflow_hub", "ai_edge_litert", "streamlit"])


# --- documents -------------------------------------------------------------------------------------------------------


def test_the_folders_of_the_architecture_page_are_those_of_the_tree():
    listed = re.findall(r"^\| `([\w/]+)/` \|", (ROOT / "docs" / "architecture.md").read_text(), re.MULTILINE)
    code = {file.parent.relative_to(ROOT) for _, file in modules()}
    shared = {Path("."), Path(UI), Path(ENGINE)}  # the table has their rooms
    assert sorted(listed) == sorted(str(folder) for folder in code - shared)


@pytest.mark.parametrize("document", ["docs/architecture.md", "CONTRIBUTING.md"])
def test_files_that_a_document_names_are_there(document):
    named = re.findall(r"`([\w./]+/[\w./]*)`", (ROOT / document).read_text())
    assert len(named) > 15
    of_a_run = {"summaries/", "artifacts/"}
    assert [name for name in named if name not in of_a_run and not (ROOT / name).exists()] == []
