"""Headers that somebody has made up: none of them gets in, and none keeps somebody else out."""

import asyncio
from typing import Any

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as some

from engine.door import Door, Lock, Names, Penalties
from tests.test_door import behind, cookie_of, knock, run

USUAL = settings(deadline=None, max_examples=40)
OURS = ("127.0.0.1", "localhost", "[::1]", "lab.example")
LABEL = some.from_regex(r"[a-z0-9]([a-z0-9-]{0,8}[a-z0-9])?", fullmatch=True)
DOMAIN = some.lists(LABEL, min_size=1, max_size=3).map(".".join)
PORT = some.sampled_from(["", ":80", ":8501", ":65535"])
# Names of elsewhere, some of which begin or end like ours.
ELSEWHERE = some.one_of(
    DOMAIN,
    some.builds("{}.{}".format, some.sampled_from(["127.0.0.1", "localhost", "lab.example"]), DOMAIN),
    some.builds("{}.{}".format, LABEL, some.sampled_from(["localhost", "lab.example"])),
    some.builds("{}{}".format, LABEL, some.sampled_from(["localhost", "lab.example"])),
    some.sampled_from(
        ["127.0.0.1.", "0.0.0.0", "192.168.1.7", "[::]", "[2001:db8::1]", "", "localhost.", "local host"]
    ),
).filter(lambda name: name not in (*OURS, "127.0.0.1"))
# Whom a proxy would tell of; here there is none.
CLAIMS = some.fixed_dictionaries(
    {},
    optional={
        "x_forwarded_for": some.sampled_from(["127.0.0.1", "::1", "localhost", "10.0.0.1, 127.0.0.1"]),
        "x_forwarded_host": some.sampled_from(OURS),
        "x_forwarded_proto": some.sampled_from(["https", "http"]),
        "forwarded": some.sampled_from(["for=127.0.0.1;host=localhost", "for=127.0.0.1"]),
        "x_real_ip": some.just("127.0.0.1"),
        "authorization": some.sampled_from(["Bearer right", "Basic cmlnaHQ6cmlnaHQ="]),
        "x_original_url": some.just("/healthz"),
    },
)
PATHS = some.sampled_from(["/", "/mnist", "/_stcore/metrics", "/healthz/..", "/HEALTHZ", "//healthz", "/?token=Right"])
# Visible characters of a header, "lab=" and what looks like the value among them.
COOKIE = some.text(some.characters(min_codepoint=32, max_codepoint=126), max_size=40)


def never_sleeps() -> Penalties:
    """Its clock stands still, and wrong ones before are forgotten."""
    return Penalties(clock=lambda: 100.0, sleep=lambda seconds: asyncio.sleep(0))


@USUAL
@given(host=some.builds(str.__add__, ELSEWHERE, PORT), claims=CLAIMS, is_open=some.booleans())
def test_a_host_of_elsewhere_never_gets_in_even_with_the_right_cookie(host: str, claims: dict, is_open: bool) -> None:
    lock = None if is_open else Lock("right")
    door = Door(behind, Names(frozenset({"lab.example"})), lock, never_sleeps())
    cookie = {"cookie": f"{lock.cookie}={lock.value}"} if lock else {}
    answer = knock(door, host=host, **cookie, **claims)
    assert (answer.status, "inside" in answer.body, "set-cookie" in answer.headers) == (403, False, False)


@USUAL
@given(host=some.builds(str.__add__, some.sampled_from(OURS), PORT), claims=CLAIMS, path=PATHS, cookie=COOKIE)
def test_nobody_gets_in_without_the_cookie_whatever_else_is_claimed(
    host: str, claims: dict, path: str, cookie: str
) -> None:
    lock, names = Lock("right"), Names(frozenset({"lab.example"}))
    assume(lock.value not in cookie)
    for sent in (cookie, f"lab={cookie}", f"lab={lock.value[:-1]}; {cookie}", f"{cookie}; xlab={lock.value}"):
        answer = knock(Door(behind, names, lock, never_sleeps()), path, host=host, cookie=sent, **claims)
        assert (answer.status, "inside" in answer.body, "set-cookie" in answer.headers) == (403, False, False)


@USUAL
@given(
    origin=some.builds("{}{}{}".format, some.sampled_from(["http://", "https://", ""]), ELSEWHERE, PORT), claims=CLAIMS
)
def test_a_page_of_elsewhere_never_gets_in_even_with_the_right_cookie(origin: str, claims: dict) -> None:
    lock = Lock("right")
    door = Door(behind, Names(frozenset({"lab.example"})), lock, never_sleeps())
    for sent in (origin, "null", "http://localhost:8502", "http://127.0.0.1"):
        answer = knock(door, origin=sent, cookie=f"{lock.cookie}={lock.value}", **claims)
        assert (answer.status, "inside" in answer.body) == (403, False)
    own = knock(door, origin="http://127.0.0.1:8501", cookie=f"{lock.cookie}={lock.value}", **claims)
    assert (own.status, own.body) == (200, "inside")


@USUAL
@given(claims=some.lists(CLAIMS, min_size=6, max_size=6))
def test_wrong_tokens_are_counted_for_the_connection_whatever_address_is_claimed(claims: list[dict[str, Any]]) -> None:
    door = Door(behind, lock=Lock("right"), penalties=never_sleeps())
    statuses = [knock(door, "/?token=wrong", **each).status for each in claims]
    assert statuses == [403] * 6
    assert knock(door, "/?token=right", x_forwarded_for="127.0.0.1").status == 429
    assert knock(door, "/?token=right", address="127.0.0.1").status == 303


def test_five_wrong_ones_are_free_and_the_sixth_costs_two_seconds() -> None:
    now = [100.0]
    door = Door(behind, lock=Lock("right"), penalties=Penalties(lambda: now[0], lambda seconds: asyncio.sleep(0)))
    assert [knock(door, "/?token=wrong").status for _ in range(5)] == [403] * 5
    assert knock(door, "/?token=right").status == 303  # and all is forgiven
    assert [knock(door, "/?token=wrong").status for _ in range(7)] == [403] * 6 + [429]
    refused = knock(door, "/?token=right")
    assert (refused.status, refused.headers["retry-after"]) == (429, "2")
    now[0] += 1.9
    assert knock(door, "/?token=right").status == 429
    now[0] += 0.2
    assert knock(door, "/?token=wrong").status == 403
    assert knock(door, "/?token=right").headers["retry-after"] == "4"  # each doubles it


@pytest.mark.parametrize("secret", ["Ab9_xY-q", "Grün & Gut", "ß and SS"])
def test_capital_letters_count_in_tokens_passphrases_and_cookies(secret: str) -> None:
    lock = Lock(secret, is_passphrase=True, value="AbCdEfGh")
    door = Door(behind, lock=lock, penalties=never_sleeps())
    for wrong in (secret.lower(), secret.upper(), secret.swapcase(), secret.casefold()):
        if wrong != secret:
            assert not lock.opens(wrong)
    assert lock.opens(secret)
    for wrong in ("abcdefgh", "ABCDEFGH", "aBcDeFgH", "AbCdEfGH"):
        assert knock(door, cookie=f"{lock.cookie}={wrong}").status == 403
    assert knock(door, cookie=f"{lock.cookie}=AbCdEfGh").body == "inside"


def test_a_token_in_other_letters_does_not_come_in_by_the_address_or_the_form() -> None:
    door = Door(behind, lock=Lock("AbC"), penalties=never_sleeps())
    for wrong in ("abc", "ABC"):
        assert knock(door, f"/?token={wrong}").status == 403
        assert knock(door, "/", "POST", f"token={wrong}").status == 403
    answer = knock(door, "/?token=AbC")
    assert answer.status == 303
    assert knock(door, cookie=cookie_of(answer)).body == "inside"
    swapped = cookie_of(answer).partition("=")
    assert knock(door, cookie=f"{swapped[0]}={swapped[2].swapcase()}").status == 403


def test_headers_that_come_twice_are_no_way_in() -> None:
    """The first Host counts for every part of the lab, so a second one is nothing that could be believed instead."""

    async def ask(headers: list[tuple[bytes, bytes]]) -> int:
        said: list[dict[str, Any]] = []

        async def send(message: dict[str, Any]) -> None:
            said.append(message)

        async def receive() -> dict[str, Any]:
            return {"type": "http.request", "body": b"", "more_body": False}

        scope = {"type": "http", "method": "GET", "path": "/", "query_string": b"", "headers": headers}
        await Door(behind)(scope | {"client": ("203.0.113.7", 1), "scheme": "http"}, receive, send)
        return said[0]["status"]

    ours, theirs = (b"host", b"127.0.0.1:8501"), (b"host", b"evil.example")
    assert run(ask([ours])) == 200
    assert run(ask([theirs, ours])) == 403
    own, other = (b"origin", b"http://127.0.0.1:8501"), (b"origin", b"http://evil.example")
    assert run(ask([ours, own])) == 200
    assert run(ask([ours, other, own])) == 403
