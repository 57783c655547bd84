"""The door: who may come in. ASGI middleware in front of the pages, TensorBoard and all that Streamlit answers.

Every request must name this machine by a name that it answers to, and come from a page that this server sent. Where the
door is locked it must also bring the cookie that a visitor gets for the token or the passphrase; all it is told without
one is the page that asks for it, with status 403. /healthz alone is answered to everybody, with "ok".

The token comes in the address that the lab prints, and leaves the address at once: whoever brings it is sent on to the
same page without it. Wrong ones cost their address time, and nobody else.
"""

import asyncio
import hashlib
import hmac
import html
import ipaddress
import math
import secrets
import socket
import string
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from urllib.parse import parse_qs, parse_qsl, quote, urlencode, urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import Request, cookie_parser
from starlette.responses import HTMLResponse, PlainTextResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

HEALTH = "/healthz"
FORM_LIMIT = 4096  # bytes of a login

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
# What stands in a frame of our own page.
FRAMED_HEADERS = {
    "Content-Security-Policy": CONTENT_SECURITY_POLICY.replace("frame-ancestors 'none'", "frame-ancestors 'self'"),
    "X-Frame-Options": "SAMEORIGIN",
}


@dataclass(frozen=True)
class Names:
    """The names that the lab answers to, beside the loopback ones.

    A page from elsewhere can make a browser send requests here under a name of its own (DNS rebinding). No name can be
    made to mean a number, so where others may come at all, any number is an address of this machine.
    """

    hosts: frozenset[str] = frozenset()  # lower case, without ports
    numbers: bool = False  # whether any IP address is one of ours

    def has(self, name: str) -> bool:
        if is_loopback(name) or name in self.hosts:
            return True
        return self.numbers and is_ip_address(name)


@dataclass
class Lock:
    """What opens the door: a token or passphrase, and a cookie for those who have shown it. Both are compared in
    constant time."""

    secret: str
    is_passphrase: bool = False  # chosen by people; otherwise a token made for this start
    cookie: str = "lab"  # its name: ports of one machine share their cookies
    value: str = field(default_factory=lambda: secrets.token_urlsafe(32))  # of the cookie, for this start

    @property
    def asked_for(self) -> str:
        return "passphrase" if self.is_passphrase else "token"

    def opens(self, shown: str) -> bool:
        return _is_same(shown, self.secret)

    def knows(self, headers: Headers) -> bool:
        cookies = headers.getlist("cookie")
        return any(_is_same(cookie_parser(each).get(self.cookie, ""), self.value) for each in cookies)


def _is_same(shown: str, expected: str) -> bool:
    digests = (hashlib.sha256(text.encode("utf-8", "replace")).digest() for text in (shown, expected))
    return hmac.compare_digest(*digests)  # of equal length, so that not even the length can be timed


class Penalties:
    """Wrong tokens, by address: after some each doubles the time in which nothing from there is looked at.

    A wrong token is answered late, and all of them together at a pace that leaves the machine to those who are in,
    however many connections they come by. So many answers wait; beyond them they come at once and close the connection.
    Bounded in memory: the addresses that were wrong longest ago are forgotten.
    """

    FREE = 5  # wrong ones that cost nothing yet: typing errors
    LONGEST = 60.0  # seconds
    FORGIVEN_AFTER = 900.0  # seconds without a wrong one
    ADDRESSES = 10_000
    HELD = 512  # answers that wait
    HOLD = 1.0  # seconds that one waits at least
    PACE = 50.0  # answers a second at most

    def __init__(
        self,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ):
        self._clock, self._sleep, self._held, self._last = clock, sleep, 0, 0.0
        self._known: OrderedDict[str, tuple[int, float]] = OrderedDict()  # address -> wrong ones, when the last came

    def seconds_left(self, address: str) -> float:
        """For how long nothing from this address is looked at; 0 where it may try."""
        wrong, last = self._known.get(address, (0, 0.0))
        if wrong <= self.FREE:
            return 0.0
        return max(0.0, last + min(self.LONGEST, 2.0 ** min(wrong - self.FREE, 10)) - self._clock())

    def was_wrong(self, address: str) -> None:
        wrong, last = self._known.pop(address, (0, 0.0))
        if self._clock() - last > self.FORGIVEN_AFTER:
            wrong = 0
        self._known[address] = (wrong + 1, self._clock())
        if len(self._known) > self.ADDRESSES:
            self._known.popitem(last=False)

    def __len__(self) -> int:
        """How many addresses are remembered."""
        return len(self._known)

    def forgive(self, address: str) -> None:
        self._known.pop(address, None)

    async def hold(self) -> bool:
        """Let an answer wait; False where too many do already."""
        if self._held >= self.HELD:
            return False
        self._held += 1
        now = self._clock()
        self._last = max(now + self.HOLD, self._last + 1 / self.PACE)  # when this answer comes
        try:
            await self._sleep(self._last - now)
        finally:
            self._held -= 1
        return True


class Door:
    """`lock`: None where whoever reaches the lab may come in. `framed`: paths that may stand in frames of our pages."""

    def __init__(
        self,
        app: ASGIApp,
        names: Names = Names(),
        lock: Lock | None = None,
        penalties: Penalties | None = None,
        framed: Callable[[str], bool] = lambda path: False,
    ):
        self.app, self.names, self.lock, self.framed = app, names, lock, framed
        self.penalties = Penalties() if penalties is None else penalties

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket"):
            await self.app(scope, receive, send)
            return
        more = FRAMED_HEADERS if self.framed(scope["path"]) else {}

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                answered = MutableHeaders(scope=message)
                answered.update(HEADERS | more)
                if scope["scheme"] == "https":  # TLS ends at a proxy, so that Streamlit does not know of it
                    message["headers"] = [_kept_to_tls(*each) for each in message["headers"]]
            await send(message)

        headers, is_http = Headers(scope=scope), scope["type"] == "http"
        refusal: Response | None = None
        if why := why_refused(headers, self.names):
            refusal = PlainTextResponse(why, status_code=403)
        elif self.lock and not (is_http and scope["path"] == HEALTH):
            if not self.lock.knows(headers):
                refusal = await self._let_in(Request(scope, receive), self.lock) if is_http else Response()
            elif is_http and scope["method"] == "GET" and "token" in parse_qs(scope["query_string"].decode("latin-1")):
                refusal = _without_token(scope)  # somebody who is in already used the printed address again
        if refusal is None:
            await self.app(scope, receive, send_with_headers)
        elif is_http:
            await refusal(scope, receive, send_with_headers)
        else:
            await send({"type": "websocket.close", "code": 1008, "reason": ""})  # becomes a 403

    async def _let_in(self, request: Request, lock: Lock) -> Response:
        """The cookie for a right token; the page that asks for one otherwise."""
        shown = await _shown(request)
        if shown is None:
            return _ask(request, lock)
        address = client_network(request.client.host if request.client else "")
        if left := self.penalties.seconds_left(address):
            said = f"Too many wrong ones came from your address. The next is looked at in {math.ceil(left)} s."
            return await self._late(_ask(request, lock, said, 429, {"Retry-After": str(math.ceil(left))}))
        if not lock.opens(shown):
            self.penalties.was_wrong(address)
            return await self._late(_ask(request, lock, f"That is not the {lock.asked_for}."))
        self.penalties.forgive(address)
        answer = _without_token(request.scope)
        answer.set_cookie(lock.cookie, lock.value, path="/", httponly=True, samesite="lax")
        return answer

    async def _late(self, answer: Response) -> Response:
        if not await self.penalties.hold():
            answer.headers["Connection"] = "close"
        return answer


def _kept_to_tls(name: bytes, value: bytes) -> tuple[bytes, bytes]:
    if name.lower() != b"set-cookie" or b"; secure" in value.lower():
        return name, value
    return name, value + b"; Secure"


def why_refused(headers: Headers, names: Names) -> str:
    """A sentence for a request that may not come in whoever sent it, "" for one that may.

    A page from elsewhere can forge neither header.
    """
    host = headers.get("host", "")
    if not names.has(name := host_name(host)):
        if names == Names():
            return f"The lab answers as 127.0.0.1 or localhost only, and was asked for as {host[:200]!r}.\n"
        advice = f"LAB_HOSTS={name[:200]}" if name else "LAB_HOSTS"
        return f"The lab does not answer as {host[:200]!r}. Where that is its name, start it with {advice}.\n"
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
    return ipaddress.ip_address(name).is_loopback if is_ip_address(name) else name == "localhost"


def is_ip_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


def own_names() -> set[str]:
    """What this machine calls itself, and how a home network knows it."""
    name = socket.gethostname().lower()
    return {name, name.partition(".")[0], f"{name.partition('.')[0]}.local"}


def client_network(address: str) -> str:
    """Whom wrong tokens are counted for: the address; of IPv6 the network, as each machine has 2**64 of its own."""
    try:
        found = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return address
    if isinstance(found, ipaddress.IPv6Address):
        # An IPv4 visitor of a server that listens on "::" is itself.
        return str(found.ipv4_mapped or ipaddress.IPv6Network((found, 64), strict=False))
    return str(found)


async def _shown(request: Request) -> str | None:
    """The token that comes in the address, or in the form of the page below; None where none comes."""
    if request.method in ("GET", "HEAD"):
        return request.query_params.get("token")
    if request.method != "POST" or "urlencoded" not in request.headers.get("content-type", ""):
        return None
    form = b""
    async for part in request.stream():
        form += part
        if len(form) > FORM_LIMIT:
            return None
    return parse_qs(form.decode("utf-8", "replace")).get("token", [None])[0]


def _without_token(scope: Scope) -> Response:
    """To the same page, asked for without the token."""
    # One slash in front: with two, the browser would take what follows for another host.
    path = "/" + quote(scope["path"].lstrip("/\\"))
    query = parse_qsl(scope["query_string"].decode("latin-1"), keep_blank_values=True)
    rest = urlencode([(name, value) for name, value in query if name != "token"])
    answer = RedirectResponse(f"{path}?{rest}" if rest else path, status_code=303)
    answer.headers["Cache-Control"] = "no-store"
    return answer


def _ask(
    request: Request, lock: Lock, said: str = "", status: int = 403, headers: dict[str, str] | None = None
) -> Response:
    """The page that asks for the token; a sentence for what is no page."""
    more = {"Cache-Control": "no-store"} | (headers or {})
    if lock.is_passphrase:
        where = "It was chosen where the lab was started (LAB_PASSPHRASE)."
    else:
        where = "The lab printed it when it started: in its terminal, or in the log of its container (docker logs)."
    if "text/html" not in request.headers.get("accept", ""):
        return PlainTextResponse(f"{said or f'The lab asks for a {lock.asked_for}.'} {where}\n", status, more)
    page = PAGE.substitute(
        asked=lock.asked_for.capitalize(),
        where=html.escape(where),
        said=f'<p id="said" role="alert">{html.escape(said)}</p>' if said else "",
        state=' aria-invalid="true" aria-describedby="said where"' if said else ' aria-describedby="where"',
    )
    return HTMLResponse(page, status, more)


# Needs nothing else from this server, which answers nothing else to whom it asks. Colours as in .streamlit/config.toml.
PAGE = string.Template("""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>$asked · Bottleneck Lab</title>
<link rel="icon" href="data:,">
<style>
:root { color-scheme: light dark; --text: #10141a; --quiet: #5b6472; --ground: #f5f6f8; --card: #ffffff;
  --line: #7d8795; --blue: #2564cf; --on-blue: #ffffff; --red: #c5303f; }
@media (prefers-color-scheme: dark) { :root { --text: #eef0f3; --quiet: #a3acb9; --ground: #0f1115; --card: #191c22;
  --line: #7d8795; --blue: #6ea8ff; --on-blue: #0b1220; --red: #ff8b8b; } }
* { box-sizing: border-box; }
body { margin: 0; min-height: 100vh; display: grid; place-items: center; padding: 16px; background: var(--ground);
  color: var(--text); font: 15px/1.5 "Source Sans", "Segoe UI", system-ui, sans-serif; }
main { width: 100%; max-width: 380px; padding: 24px; background: var(--card); border-radius: 6px; }
h1 { margin: 0 0 16px; font-size: 21px; font-weight: 650; }
label { display: block; margin-bottom: 4px; font-weight: 600; }
input, button { width: 100%; padding: 9px 11px; font: inherit; border-radius: 6px; }
input { color: var(--text); background: var(--ground); border: 1px solid var(--line); }
button { margin-top: 12px; font-weight: 600; color: var(--on-blue); background: var(--blue); border: 0;
  cursor: pointer; }
:focus-visible { outline: 2px solid var(--blue); outline-offset: 2px; }
p { margin: 12px 0 0; color: var(--quiet); }
#said { color: var(--red); }
</style>
</head>
<body>
<main>
<h1>Bottleneck Lab</h1>
<form method="post">
<label for="token">$asked</label>
<input id="token" name="token" type="password" autocomplete="current-password" required autofocus$state>
<button>Open the lab</button>
</form>
$said
<p id="where">$where</p>
</main>
</body>
</html>
""")
