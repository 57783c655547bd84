"""python serve.py [--port 8501] [--address 127.0.0.1] [--no-browser]: the door of the lab.

Starts the pages of streamlit_app.py in this process and decides who may come in: requests that name this machine
by a loopback name, from pages that this server sent. Everything it answers forbids the browser to reach any other host.
GET /healthz answers 200 as soon as the pages can be served. /tensorboard/ is the TensorBoard that a page has started
(engine/tensorboard.py), behind the same door. SIGINT and SIGTERM end it; runs go on.
"""

import argparse
import errno
import functools
import gc
import importlib
import ipaddress
import os
import socket
import sys
import threading
import webbrowser
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import uvicorn
from starlette.background import BackgroundTask
from starlette.concurrency import run_in_threadpool
from starlette.datastructures import Headers, MutableHeaders
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import PlainTextResponse, RedirectResponse, Response, StreamingResponse
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from streamlit.starlette import App

from engine import settings, tensorboard

if TYPE_CHECKING:
    import httpx

PAGES = Path(__file__).resolve().parent / "streamlit_app.py"
NEEDED_BY_EVERY_PAGE = ("pandas", "streamlit.elements.vega_charts", "streamlit.elements.arrow")
PATIENCE_SECONDS = 3.0  # for what still runs when the server is told to end

# Streamlit writes styles into the page and has one small inline script. It hands the script of a component (the field
# that digits are drawn on) to the browser as a blob: bytes that the page itself has made, which no other host can put
# there. Everything else comes from this server, so that no picture, font or script can be fetched from elsewhere.
CONTENT_SECURITY_POLICY = "; ".join(
    [
        "default-src 'self'",
        "script-src 'self' 'unsafe-inline' blob:",
        "style-src 'self' 'unsafe-inline'",
        "img-src 'self' data: blob:",
        "media-src 'self' data: blob:",
        "font-src 'self' data:",
        "connect-src 'self' data: blob:",
        "worker-src 'self' blob:",
        "frame-src 'self' blob:",
        "object-src 'none'",
        "base-uri 'self'",
        "form-action 'self'",
        "frame-ancestors 'none'",
    ]
)
HEADERS = {
    "Content-Security-Policy": CONTENT_SECURITY_POLICY,
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(self), microphone=(), geolocation=()",
}
# TensorBoard stands in a frame of our own page.
TENSORBOARD_HEADERS = {
    "Content-Security-Policy": CONTENT_SECURITY_POLICY.replace("frame-ancestors 'none'", "frame-ancestors 'self'"),
    "X-Frame-Options": "SAMEORIGIN",
}

# What is handed on to TensorBoard, and what is not handed back: cookies of the lab are none of its, and what HTTP says
# of one connection holds for that one alone.
ASKED_WITH = {"accept", "accept-encoding", "accept-language", "content-type", "if-modified-since", "if-none-match"}
ASKED_WITH |= {"range", "x-xsrf-protected"}
NOT_HANDED_BACK = {"connection", "keep-alive", "proxy-authenticate", "te", "trailer", "transfer-encoding", "upgrade"}
NOT_HANDED_BACK |= {"server", "date", "set-cookie", "location"}
QUESTION_LIMIT = 1_000_000  # bytes; TensorBoard's own questions are lists of names


class Door:
    """ASGI middleware: turns away whom it does not know, and sends HEADERS with every answer."""

    def __init__(self, app: ASGIApp):
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket"):
            await self.app(scope, receive, send)
            return

        more = TENSORBOARD_HEADERS if is_tensorboards(scope["path"]) else {}

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).update(HEADERS | more)
            await send(message)

        if refusal := why_refused(Headers(scope=scope)):
            if scope["type"] == "websocket":
                await send({"type": "websocket.close", "code": 1008, "reason": ""})  # becomes a 403
            else:
                await PlainTextResponse(refusal, status_code=403)(scope, receive, send_with_headers)
            return
        await self.app(scope, receive, send_with_headers)


def why_refused(headers: Headers) -> str:
    """A sentence for a request that may not come in, "" for one that may.

    A page from elsewhere can make a browser send requests here under a name of its own (DNS rebinding), or under ours
    with its own Origin. It can forge neither header.
    """
    host = headers.get("host", "")
    if not is_loopback(host_name(host)):
        return f"The lab answers as 127.0.0.1 or localhost only, and was asked for as {host[:200]!r}.\n"
    origin = headers.get("origin")
    if origin is not None and urlsplit(origin).netloc != host:
        return f"The lab takes requests from its own pages only; this one comes from {origin[:200]!r}.\n"
    return ""


def host_name(host: str) -> str:
    """The name in a Host header, without the port: "[::1]:8501" gives "::1"; "" for nonsense."""
    try:
        return urlsplit(f"//{host}").hostname or ""
    except ValueError:
        return ""


def is_loopback(name: str) -> bool:
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return name == "localhost"


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


def make_app(url: str, open_browser: bool) -> App:
    @asynccontextmanager
    async def ready(_app: App) -> AsyncGenerator[None, None]:
        for name in NEEDED_BY_EVERY_PAGE:  # now, and not while the first visitor waits
            importlib.import_module(name)
        # Streamlit collects garbage after every picture it draws, and would go through all that was imported each time:
        # three quarters of what a page costs that is redrawn every second.
        gc.freeze()
        print(f"Bottleneck Lab is at {url} (Ctrl+C ends it)", flush=True)
        if open_browser:
            threading.Thread(target=webbrowser.open, args=(url,), daemon=True).start()
        yield None

    routes = [
        Route("/healthz", health),
        Route(tensorboard.PREFIX, lambda _request: RedirectResponse(tensorboard.PREFIX + "/")),
        Route(tensorboard.PREFIX + "/{path:path}", ask_tensorboard, methods=["GET", "POST"]),
        Route("/font-roboto/{name}", ask_tensorboard),  # TensorBoard's page asks for its fonts without the prefix
    ]
    return App(PAGES, middleware=[Middleware(Door)], routes=routes, lifespan=ready)


def has_display() -> bool:
    """Whether a browser can be shown. Without a screen, webbrowser would start one that takes over the terminal."""
    return sys.platform == "darwin" or bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--port", type=int, default=8501, help="default 8501; 0 is any free one")
    parser.add_argument("--address", default="127.0.0.1", help="a loopback address; default 127.0.0.1")
    parser.add_argument("--no-browser", action="store_true", help="do not open the browser")
    options = parser.parse_args()
    if not is_loopback(options.address):
        parser.error(
            f"--address is {options.address}; the lab listens on this machine only: 127.0.0.1, ::1 or localhost. "
            f"To use it from elsewhere: ssh -L 8501:127.0.0.1:{options.port} this-machine"
        )
    if not 0 <= options.port <= 65535:
        parser.error(f"--port is {options.port}; choose 1024 to 65535, or 0 for any free one.")
    try:
        listener = listen(options.address, options.port)
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            advice = "Is the lab running already? End it, or choose another port: make run PORT=8502"
            print(f"Port {options.port} is taken. {advice}", file=sys.stderr)
        else:
            print(f"Cannot listen on {options.address}:{options.port}: {error.strerror}.", file=sys.stderr)
        return 1
    name = f"[{options.address}]" if ":" in options.address else options.address
    url = f"http://{name}:{listener.getsockname()[1]}"
    config = uvicorn.Config(
        make_app(url, open_browser=has_display() and not options.no_browser),
        ws="websockets-sansio",  # what Streamlit itself chooses
        ws_max_size=200 * 2**20,  # as server.maxMessageSize
        ws_ping_interval=30,
        ws_ping_timeout=30,
        proxy_headers=False,  # nobody stands between the browser and this door
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
