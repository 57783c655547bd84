"""A real browser in front of the real server; most tests with a worker that has no TensorFlow."""

import contextlib
import os
import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import pytest
from axe_playwright_python.base import AXE_SCRIPT
from playwright.sync_api import BrowserContext, Page, Request, expect

from engine import photos
from engine.contract import choices
from engine.contract.kinds.batch_classification import BatchClassificationSpec
from engine.contract.kinds.batch_size import BatchSizeSpec
from engine.contract.kinds.fine_tuning import FineTuningSpec
from engine.contract.kinds.learning_curve import LearningCurveSpec
from engine.contract.kinds.mnist import MnistSpec
from engine.contract.kinds.race import RaceSpec
from engine.contract.run_folder import LabHome
from engine.runs import open_run
from engine.runs.queue import Queue
from tests.assets_home import with_assets
from tests.digit_sets import draw_digits
from tests.photo_folders import draw_photos
from tests.weights import pretend

ROOT = Path(__file__).resolve().parents[2]
PHONE = "Mozilla/5.0 (iPhone; CPU iPhone OS 17_0 like Mac OS X) AppleWebKit/605.1.15 Mobile/15E148"
AXE_RULES = {
    "runOnly": {"type": "tag", "values": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa"]},
    "resultTypes": ["violations"],  # what passes is not collected
}

# Whether all that the page holds is drawn, and nothing moves: charts, tables and pictures come after the words around
# them, and what fades or slides in is paler until it has arrived.
AT_REST = """() => {
    const shown = selector => [...document.querySelectorAll(selector)].filter(each => each.checkVisibility());
    const fleeting = each => each.playState === 'running' && each.effect.getTiming().iterations !== Infinity;
    return shown('[data-testid=stApp]').every(each => each.dataset.testScriptState === 'notRunning')
        && shown('[data-testid=stSkeleton], [data-stale=true]').length === 0
        && shown('[data-testid=stVegaLiteChart]').every(each => each.querySelector('svg, canvas'))
        && shown('[data-testid=stDataFrame]').every(each => each.querySelector('canvas'))
        && shown('img').every(each => each.complete || each.loading === 'lazy')
        && !document.getAnimations().some(fleeting);
}"""

PATIENCE = 60000.0  # milliseconds: browser, server and worker may share two cores
LOOKS_AGAIN = 60.0  # seconds; a busy machine draws late, and what is fine ends the wait
expect.set_options(timeout=PATIENCE)


@dataclass(frozen=True)
class Lab:
    home: LabHome
    url: str  # http://127.0.0.1:<port>
    runs: dict[str, str]  # what is special about a run -> its id


def serve(home: LabHome, stderr: Path, **environment: str) -> tuple[subprocess.Popen[str], str]:
    """serve.py on a free port, and its address."""
    with open(stderr, "w") as errors:
        process = subprocess.Popen(
            [sys.executable, ROOT / "serve.py", "--port", "0", "--no-browser"],
            cwd=ROOT,
            env=os.environ | {"LAB_HOME": home.path} | environment,
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
        )
    assert process.stdout
    line = process.stdout.readline()
    found = re.search(r"http://\S+", line)
    assert found, f"{line}\n{stderr.read_text()}"
    return process, found[0]


def stop(process: subprocess.Popen[str]) -> None:
    process.terminate()
    process.communicate(timeout=60)


@pytest.fixture(scope="session")
def empty_lab(tmp_path_factory) -> Iterator[Lab]:
    """Nothing has been run; there are photos to choose."""
    folder = tmp_path_factory.mktemp("empty")
    home = LabHome(str(folder / "lab"))
    draw_photos(Path(home.datasets) / "lamps")
    draw_digits(Path(home.datasets) / "bars.npz")
    pretend(home, "mobilenet_v2")
    process, url = serve(home, folder / "stderr.txt", WORKER_MODULE="tests.fakes.fake_worker")
    yield Lab(home, url, {})
    stop(process)


@pytest.fixture(scope="session")
def busy_lab(tmp_path_factory) -> Iterator[Lab]:
    """Where tests start runs of their own; one takes six seconds."""
    folder = tmp_path_factory.mktemp("busy")
    home = LabHome(str(folder / "lab"))
    draw_photos(Path(home.datasets) / "lamps")
    draw_digits(Path(home.datasets) / "bars.npz")
    pretend(home, "mobilenet_v2")
    process, url = serve(home, folder / "stderr.txt", WORKER_MODULE="tests.fakes.fake_worker", FAKE_SECONDS="6")
    yield Lab(home, url, {})
    stop(process)


@pytest.fixture(scope="session")
def lab(tmp_path_factory) -> Iterator[Lab]:
    """A run of every kind and in every state, one race and one comparison going on."""
    folder = tmp_path_factory.mktemp("lab")
    home = LabHome(str(folder / "lab"))
    root = draw_photos(Path(home.datasets) / "lamps")
    dataset = photos.split(photos.scan(root, "Lamps"), 10, 10)
    queue = Queue(home, sys.executable, "tests.fakes.fake_worker")
    usual = RaceSpec()
    asked = {
        "race": usual,
        "single": usual._replace(learning_rates=(0.01,)),
        "one thread": usual._replace(threads=1, use_cache=False, group="pair"),
        "two threads": usual._replace(threads=2, use_cache=False, group="pair"),
        "failed": usual._replace(seed=901),
        "diverged": usual._replace(seed=903),
        "skipped": usual._replace(seed=904),
        "lost": usual._replace(seed=907),
        "cancelled": usual._replace(seed=905),
    }
    draw_digits(Path(home.datasets) / "bars.npz")
    pretend(home, "mobilenet_v2")
    # On the other device, so that a comparison goes on beside the race: the worker that stands in needs neither.
    comparison = MnistSpec(data="bars", device=choices.GPU)
    runs = {name: queue.start(spec, dataset) for name, spec in asked.items()}
    runs["compared"] = queue.start(comparison)
    runs["tuned"] = queue.start(FineTuningSpec(), photos.split(photos.scan(root, "Lamps"), 10, 20))
    runs["sizes"] = queue.start(BatchSizeSpec())
    runs["learning curve"] = queue.start(LearningCurveSpec(), dataset)
    many = BatchClassificationSpec(model="mobilenet_v2", model_title="MobileNet v2")
    runs["pictures"] = queue.start(many, photos.list_pictures(root, "Lamps").dataset)
    wait_until(lambda: open_run(home, runs["cancelled"]).story.curves, 180)
    queue.cancel(runs["cancelled"])
    wait_until(lambda: not open_run(home, runs["cancelled"]).is_active, 180)
    runs["comparing"] = queue.start(comparison._replace(seed=902))
    runs["running"] = queue.start(usual._replace(seed=902), dataset)  # stays in the middle of Training
    runs["queued"] = queue.start(usual, dataset)
    for name in ("running", "comparing"):
        wait_until(lambda name=name: open_run(home, runs[name]).story.curves, 180)
    runs["race and single"] = f"{runs['race']},{runs['single']}"
    process, url = serve(home, folder / "stderr.txt", WORKER_MODULE="tests.fakes.fake_worker", FAKE_SECONDS="6")
    yield Lab(home, url, runs)
    stop(process)
    end(home, runs["queued"], runs["running"], runs["comparing"])


@pytest.fixture(scope="session")
def real_lab(tmp_path_factory) -> Iterator[Lab]:
    """The real worker, and a home that is empty but for the assets that `make run` fetches and a few drawn photos."""
    folder = tmp_path_factory.mktemp("real")
    fetched = with_assets("mobilenet_v2", "imagenet_names", "traffic_lights", "mnist")
    (folder / "lab").mkdir()
    (folder / "lab" / "assets").symlink_to(fetched.assets)
    home = LabHome(str(folder / "lab"))
    draw_photos(Path(home.datasets) / "lamps")
    process, url = serve(home, folder / "stderr.txt")
    yield Lab(home, url, {})
    stop(process)


def end(home: LabHome, *run_ids: str) -> None:
    """End workers that wait for ever, by the process ids that they wrote into their locks."""
    for run_id in run_ids:
        pid = Path(home.run(run_id).lock).read_text()
        if pid.isdigit() and open_run(home, run_id).is_active:
            with contextlib.suppress(ProcessLookupError):  # it has ended just now
                os.kill(int(pid), 9)


def wait_until(fact: Callable[[], object], seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while not fact():
        assert time.monotonic() < deadline, "it has not come true in time"
        time.sleep(0.1)


def at_rest(page: Page) -> None:
    """Waits until everything is drawn and nothing moves."""
    page.wait_for_function(AT_REST)


def violations(page: Page, **options: object) -> list[str]:
    """What axe-core finds on the page as it stands, one line each."""
    if not page.evaluate("'axe' in window"):
        page.evaluate(AXE_SCRIPT)
    found = page.evaluate("options => axe.run(options)", AXE_RULES | options)["violations"]
    return [f"{each['id']}: {node['html'][:300]}" for each in found for node in each["nodes"]]


@dataclass
class Visitor:
    page: Page
    requested: list[str]  # addresses that the browser asked for

    def violations(self) -> list[str]:
        """What axe-core finds on the page once it is at rest, one line each.

        Where it finds something it looks again for some seconds: only what stays is the page's own.
        """
        at_rest(self.page)
        deadline = time.monotonic() + LOOKS_AGAIN
        while (found := violations(self.page)) and time.monotonic() < deadline:
            at_rest(self.page)
        return found

    def overflow(self) -> int:
        """Pixels by which the page is wider than the window."""
        return self.page.evaluate(
            "Math.max(...[document.documentElement, ...document.querySelectorAll('[data-testid=stMain]')]"
            ".map(each => each.scrollWidth - each.clientWidth))"
        )


@dataclass
class Window:
    """Pages of one scheme and size. One that a test has left is the next one's, the lab's scripts being warm in it."""

    context: BrowserContext
    scheme: Literal["light", "dark"]
    free: list[Page]

    def take(self) -> Page:
        return self.free.pop() if self.free else self.context.new_page()

    def give_back(self, page: Page) -> None:
        page.evaluate("sessionStorage.clear()")
        page.goto("about:blank")  # which ends the visit
        page.emulate_media(color_scheme=self.scheme)
        self.free.append(page)


@pytest.fixture(scope="session")
def windows(browser) -> Iterator[Callable[[Literal["light", "dark"], bool], Window]]:
    found: dict[tuple[str, bool], Window] = {}

    def window(scheme: Literal["light", "dark"], phone: bool) -> Window:
        if (scheme, phone) not in found:
            size = (
                {"viewport": {"width": 390, "height": 844}, "is_mobile": True, "has_touch": True, "user_agent": PHONE}
                if phone
                else {"viewport": {"width": 1440, "height": 900}}
            )
            context = browser.new_context(color_scheme=scheme, **size)
            context.set_default_timeout(PATIENCE)
            found[scheme, phone] = Window(context, scheme, [])
        return found[scheme, phone]

    yield window
    for each in found.values():
        each.context.close()


@pytest.fixture
def visitor(windows) -> Iterator[Callable[..., Visitor]]:
    lent = []

    def open_page(scheme: Literal["light", "dark"] = "light", phone: bool = False) -> Visitor:
        window = windows(scheme, phone)
        page = window.take()
        requested: list[str] = []

        def note(request: Request) -> None:
            requested.append(request.url)

        page.on("request", note)
        lent.append((window, page, note))
        return Visitor(page, requested)

    yield open_page
    for window, page, note in lent:
        page.remove_listener("request", note)
        window.give_back(page)
