"""python serve.py [--port 8501] [--address 127.0.0.1] [--no-browser]: the lab, behind its door.

Starts the pages of streamlit_app.py in this process. Who may come in is decided in engine/door.py: this machine alone,
as long as the address is a loopback one; beyond it whoever brings the token of the address that is printed here, or
LAB_PASSPHRASE (engine/settings.py has all that can be set). Everything that is answered forbids the browser to reach
any other host. GET /healthz answers 200 as soon as the pages can be served. /tensorboard/ is the TensorBoard that a
page has started (engine/tensorboard.py), behind the same door. SIGINT and SIGTERM end it; runs go on.
"""

import engine.interpreter  # noqa: F401  # first: see there

# isort: split
import argparse
import contextlib
import errno
import functools
import gc
import importlib
import os
import secrets
import socket
import sys
import threading
import webbrowser
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote

import uvicorn
from starlette.background import BackgroundTask
from starlette.concurrency import run_in_threadpool
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import PlainTextResponse, RedirectResponse, Response, StreamingResponse
from starlette.routing import Route
from streamlit import config as streamlit_config
from streamlit.starlette import App

from engine import settings, tensorboard
from engine.contract import VERSION, signatures
from engine.door import HEALTH, Door, Lock, Names, is_loopback, own_names
from engine.errors import SettingError

if TYPE_CHECKING:
    import httpx

PAGES = Path(__file__).resolve().parent / "streamlit_app.py"
NEEDED_BY_EVERY_PAGE = ("pandas", "streamlit.elements.vega_charts", "streamlit.elements.arrow")
PATIENCE_SECONDS = 3.0  # for what still runs when the server is told to end

# What is handed on to TensorBoard, and what is not handed back: cookies of the lab are none of its, and what HTTP says
# of one connection holds for that one alone.
ASKED_WITH = {"accept", "accept-encoding", "accept-language", "content-type", "if-modified-since", "if-none-match"}
ASKED_WITH |= {"range", "x-xsrf-protected"}
NOT_HANDED_BACK = {"connection", "keep-alive", "proxy-authenticate", "te", "trailer", "transfer-encoding", "upgrade"}
NOT_HANDED_BACK |= {"server", "date", "set-cookie", "location"}
QUESTION_LIMIT = 1_000_000  # bytes; TensorBoard's own questions are lists of names


def listen(address: str, port: int) -> socket.socket:
    """A listening socket, so that a port that is taken is found out before anything else is started.

    Port 0 is any free one. Raises OSError.
    """
    family, kind, protocol, _, where = socket.getaddrinfo(address, port, type=socket.SOCK_STREAM)[0]
    listener = socket.socket(family, kind, protocol)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # a server that just ended leaves no wait
        listener.bind(where)
        listener.listen(128)
    except OSError:
        listener.close()
        raise
    return listener


class Server(uvicorn.Server):
    """Ends within PATIENCE_SECONDS of a signal, whatever a page is doing at that moment."""

    def handle_exit(self, sig, frame) -> None:  # type: ignore[no-untyped-def]  # as uvicorn types it
        last_resort = threading.Timer(PATIENCE_SECONDS, os._exit, [0])
        last_resort.daemon = True
        last_resort.start()
        super().handle_exit(sig, frame)


async def health(_request: Request) -> PlainTextResponse:
    return PlainTextResponse("ok\n")


def is_tensorboards(path: str) -> bool:
    return path == tensorboard.PREFIX or path.startswith(tensorboard.PREFIX + "/")


async def ask_tensorboard(request: Request) -> Response:
    """Hand a question on to the TensorBoard that this lab has started, and its answer back as it comes."""
    import httpx  # 0.2 s, for those who look at TensorBoard

    home = settings.load().home
    where = await run_in_threadpool(tensorboard.address, home)
    if where is None:
        return PlainTextResponse(f"{tensorboard.NOT_RUNNING}\n", status_code=502)
    if request.url.path.endswith("/data/runs"):
        await run_in_threadpool(tensorboard.link_runs, home)  # runs that began since
    question = b""
    async for part in request.stream():
        question += part
        if len(question) > QUESTION_LIMIT:
            return PlainTextResponse("TensorBoard is asked with at most 1 MB.\n", status_code=413)
    # The path as it came, and host and port from us alone: no question can lead elsewhere.
    path = request.scope["raw_path"] + b"?" + request.scope["query_string"]
    if not is_tensorboards(request.url.path):
        path = tensorboard.PREFIX.encode() + path
    try:
        asked = _client().build_request(
            request.method,
            httpx.URL(scheme="http", host=where[0], port=where[1], raw_path=path),
            headers={"accept-encoding": "identity"}
            | {name: value for name, value in request.headers.items() if name in ASKED_WITH},
            content=question or None,
        )
        answer = await _client().send(asked, stream=True)
    except (httpx.HTTPError, httpx.InvalidURL):
        return PlainTextResponse(f"{tensorboard.NOT_RUNNING}\n", status_code=502)
    dropped = NOT_HANDED_BACK | {name.strip().lower() for name in answer.headers.get("connection", "").split(",")}
    headers = {name: value for name, value in answer.headers.items() if name not in dropped}
    done = BackgroundTask(answer.aclose)
    return StreamingResponse(answer.aiter_raw(), answer.status_code, headers, background=done)


@functools.cache
def _client() -> "httpx.AsyncClient":
    import httpx

    # On the way to 127.0.0.1 there is no TLS, whose certificates would be read for nothing, and no proxy.
    return httpx.AsyncClient(verify=False, trust_env=False, timeout=httpx.Timeout(60, connect=2))


def make_app(url: str, note: str, names: Names, lock: Lock | None, open_browser: bool) -> App:
    @asynccontextmanager
    async def ready(_app: App) -> AsyncGenerator[None, None]:
        # For streamlit_app.py started without this door. Here the door has looked at whoever comes.
        streamlit_config.set_option("server.allowedHosts", [])
        streamlit_config.set_option("server.address", "127.0.0.1")
        for name in NEEDED_BY_EVERY_PAGE:  # now, and not while the first visitor waits
            importlib.import_module(name)
        # Streamlit collects garbage after every picture it draws, and would go through all that was imported each time:
        # three quarters of what a page costs that is redrawn every second.
        gc.freeze()
        print(f"Bottleneck Lab is at {url} (Ctrl+C ends it)", *filter(None, [note]), sep="\n", flush=True)
        if open_browser:
            threading.Thread(target=webbrowser.open, args=(url,), daemon=True).start()
        yield None

    routes = [
        Route(HEALTH, health),
        Route(tensorboard.PREFIX, lambda _request: RedirectResponse(tensorboard.PREFIX + "/")),
        Route(tensorboard.PREFIX + "/{path:path}", ask_tensorboard, methods=["GET", "POST"]),
        Route("/font-roboto/{name}", ask_tensorboard),  # TensorBoard's page asks for its fonts without the prefix
    ]
    door = Middleware(Door, names=names, lock=lock, framed=is_tensorboards)
    return App(PAGES, middleware=[door], routes=routes, lifespan=ready)


def make_lock(door: settings.Door, address: str, port: int) -> Lock | None:
    """None where whoever reaches the lab may come in: on loopback addresses, and where the door was taken off."""
    is_asked = door.state == settings.ON or bool(door.passphrase or door.hosts) or not is_loopback(address)
    if door.state == settings.OFF or not is_asked:
        return None
    secret = door.passphrase or secrets.token_urlsafe(32)
    return Lock(secret, is_passphrase=bool(door.passphrase), cookie=f"bottleneck_lab_{port}")


def address_of(address: str, port: int, lock: Lock | None) -> str:
    """What to open on this machine, with the token."""
    reachable = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(address, address)  # those two stand for every address
    name = f"[{reachable}]" if ":" in reachable else reachable
    token = f"/?token={quote(lock.secret)}" if lock and not lock.is_passphrase else ""
    return f"http://{name}:{port}{token}"


def who_may_come(door: settings.Door, lock: Lock | None) -> str:
    """What stands in the log under the address; "" where this machine alone can come."""
    if door.state == settings.OFF:
        return (
            "WARNING: LAB_DOOR=off. Whoever reaches this port can use the lab, see the photos that it may read and "
            "have this machine compute."
        )
    if lock is None:
        return ""
    if lock.is_passphrase:
        return "It asks for the passphrase."
    return (
        "Whoever has the token may come in. From elsewhere, put this machine's name or address into the place of the "
        "one above."
    )


def has_display() -> bool:
    """Whether a browser can be shown. Without a screen, webbrowser would start one that takes over the terminal."""
    return sys.platform == "darwin" or bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--version", action="version", version=f"Bottleneck Lab {VERSION}")
    parser.add_argument("--port", type=int, default=8501, help="default 8501; 0 is any free one")
    parser.add_argument("--address", default="127.0.0.1", help="default 127.0.0.1; 0.0.0.0 for every network")
    parser.add_argument("--no-browser", action="store_true", help="do not open the browser")
    options = parser.parse_args()
    if not 0 <= options.port <= 65535:
        parser.error(f"--port is {options.port}; choose 1024 to 65535, or 0 for any free one.")
    try:
        door = settings.load_door()
    except SettingError as error:
        parser.error(str(error))
    try:
        listener = listen(options.address, options.port)
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            advice = "Is the lab running already? End it, or choose another port: make run PORT=8502"
            print(f"Port {options.port} is taken. {advice}", file=sys.stderr)
        else:
            print(f"Cannot listen on {options.address}:{options.port}: {error.strerror}.", file=sys.stderr)
        return 1
    port = listener.getsockname()[1]
    with contextlib.suppress(OSError):  # a full disk: whoever needs the key says so
        signatures.prepare(settings.load().home)
    lock = make_lock(door, options.address, port)
    os.environ.pop("LAB_PASSPHRASE", None)  # none of the processes that are started from here needs to know it
    names = Names(door.hosts)
    if not is_loopback(options.address):
        names = Names(door.hosts | own_names(), numbers=True)
    url = address_of(options.address, port, lock)
    config = uvicorn.Config(
        make_app(url, who_may_come(door, lock), names, lock, open_browser=has_display() and not options.no_browser),
        ws="websockets-sansio",  # what Streamlit itself chooses
        ws_max_size=200 * 2**20,  # as server.maxMessageSize
        ws_ping_interval=30,
        ws_ping_timeout=30,
        proxy_headers=True,  # of a proxy that is trusted: for whom it asks, and whether they came by TLS
        forwarded_allow_ips=list(door.proxies),
        server_header=False,
        access_log=False,
        log_level="warning",
        timeout_graceful_shutdown=2,  # open pages would otherwise keep the server alive
    )
    server = Server(config)
    try:
        server.run(sockets=[listener])
    except KeyboardInterrupt:
        print("\nEnded. Runs that were started go on.")
    return 0 if server.started else 1


if __name__ == "__main__":
    sys.exit(main())
