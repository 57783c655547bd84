"""A picture from an address that a visitor typed, fetched by the server and so fetched with suspicion.

The server stands where the visitor may not: beside the router, the database, the cloud's own pages. So an address may
lead to public machines alone. The name is looked up once, every address that it has is checked, and the connection is
made to exactly that address: a second lookup could answer otherwise. Each redirect goes through the same.
"""

import contextlib
import http.client
import ipaddress
import queue
import socket
import ssl
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from urllib.parse import quote, urljoin, urlsplit

from engine.errors import AddressError

PORTS = {"http": 80, "https": 443}
REDIRECTS = 5
BYTES = 20_000_000
SECONDS = 10.0  # in total, lookups and redirects included
BLOCK = 1 << 16

Resolve = Callable[[str, int], list[str]]  # host, port -> its addresses, as numbers
Connect = Callable[[str, int, float], socket.socket]  # address, port, seconds -> a connected socket


def lookup(host: str, port: int) -> list[str]:
    """Every address of a host. Raises OSError."""
    return [str(found[4][0]) for found in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)]


def connection(address: str, port: int, seconds: float) -> socket.socket:
    """Raises OSError."""
    return socket.create_connection((address, port), timeout=seconds)


def fetch(url: str, *, resolve: Resolve = lookup, connect: Connect = connection, seconds: float = SECONDS) -> bytes:
    """What lies at a public http or https address, at most 20 MB. Raises AddressError.

    It is not looked at: whether it is a picture, whoever decodes it says.
    """
    task = _Task(url.strip(), resolve, connect, time.monotonic() + seconds)
    # In a thread of its own: a lookup knows no time limit, and a host may send one byte a second.
    threading.Thread(target=task.run, daemon=True).start()
    try:
        found = task.outcome.get(timeout=seconds)
    except queue.Empty:
        task.give_up()
        raise AddressError(f"The address did not send the picture within {seconds:.0f} seconds. Try another.") from None
    if isinstance(found, bytes):
        return found
    raise found


def is_public(address: str) -> bool:
    """Whether a numeric address is a machine of the open internet, also where IPv4 is wrapped into IPv6."""
    try:
        ip = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return False
    if isinstance(ip, ipaddress.IPv6Address):
        wrapped = [ip.ipv4_mapped, ip.sixtofour, *(ip.teredo or ())]
        if ip in ipaddress.ip_network("64:ff9b::/96"):  # a translator's: the last 32 bits are the IPv4 address
            wrapped.append(ipaddress.IPv4Address(int(ip) & 0xFFFFFFFF))
        inner = [each for each in wrapped if each is not None]
        if inner:
            return all(is_public(str(each)) for each in inner)
        if ip.is_site_local:
            return False
    return ip.is_global and not (ip.is_multicast or ip.is_reserved or ip.is_unspecified)


@dataclass
class _Task:
    url: str
    resolve: Resolve
    connect: Connect
    deadline: float  # on the monotonic clock
    outcome: "queue.SimpleQueue[bytes | Exception]" = field(default_factory=queue.SimpleQueue)
    _socket: socket.socket | None = None

    def run(self) -> None:
        try:
            self.outcome.put(self._follow())
        except AddressError as error:
            self.outcome.put(error)
        except Exception as error:  # nothing may leave the visitor waiting
            self.outcome.put(AddressError(f"The address could not be fetched: {error}. Check it, or try another."))

    def give_up(self) -> None:
        with contextlib.suppress(OSError, AttributeError):
            self._socket.shutdown(socket.SHUT_RDWR)  # type: ignore[union-attr]

    def _follow(self) -> bytes:
        url = self.url
        for _ in range(1 + REDIRECTS):
            found = self._get(url)
            if isinstance(found, bytes):
                return found
            url = urljoin(url, found)
        raise AddressError(f"The address leads on more than {REDIRECTS} times. Give the picture's own address.")

    def _get(self, url: str) -> bytes | str:
        """What lies there, or the address it leads on to."""
        scheme, host, port, path = _parts(url)
        address = self._checked(host, port)
        # With its socket given, it connects nowhere by itself, and no proxy of the environment is asked.
        client = http.client.HTTPConnection(host, port)
        try:
            client.sock = self._socket = self.connect(address, port, self._left())
            if scheme == "https":
                client.sock = self._socket = ssl.create_default_context().wrap_socket(client.sock, server_hostname=host)
        except ssl.SSLError as error:
            client.close()
            raise AddressError(f"{host} has no certificate that is to be trusted ({error.reason}).") from error
        except OSError as error:
            client.close()
            raise AddressError(f"{host} does not answer: {error.strerror or error}.") from error
        try:
            named = f"[{host}]" if ":" in host else host
            client.putrequest("GET", path, skip_host=True, skip_accept_encoding=True)
            for name, value in (("Host", named), ("Accept", "image/*"), ("Accept-Encoding", "identity")):
                client.putheader(name, value)
            client.putheader("User-Agent", "BottleneckLab/1.0")
            client.putheader("Connection", "close")
            client.endheaders()
            with client.getresponse() as response:
                return self._read(response, host)
        except (OSError, http.client.HTTPException) as error:
            raise AddressError(f"{host} broke off: {type(error).__name__}. Try again, or another address.") from error
        finally:
            client.close()

    def _read(self, response: http.client.HTTPResponse, host: str) -> bytes | str:
        if response.status in (301, 302, 303, 307, 308):
            place = response.getheader("Location")
            if not place:
                raise AddressError(f"{host} leads on, but does not say where. Give the picture's own address.")
            return place
        if response.status != 200:
            raise AddressError(f"{host} answers {response.status} {response.reason}. Check the address.")
        if (response.getheader("Content-Encoding") or "identity").lower() != "identity":
            raise AddressError(f"{host} sends the picture packed, which was not asked for. Try another address.")
        announced = response.getheader("Content-Length") or ""
        too_much = AddressError(f"{host} sends more than {BYTES // 1_000_000} MB. Give a smaller picture.")
        if announced.isascii() and announced.isdigit() and int(announced) > BYTES:
            raise too_much
        found = bytearray()
        while block := response.read1(BLOCK):
            found += block
            if len(found) > BYTES:
                raise too_much
            self._left()
        if announced.isdigit() and len(found) < int(announced):
            raise AddressError(f"{host} broke off in the middle of the picture. Try again.")
        if not found:
            raise AddressError(f"{host} sends an empty file. Check the address.")
        return bytes(found)

    def _checked(self, host: str, port: int) -> str:
        """The address to connect to. Raises AddressError unless every address of the host is public."""
        try:
            addresses = self.resolve(host, port)
        except (OSError, UnicodeError):
            addresses = []
        if not addresses:
            raise AddressError(f"There is no machine called {host}. Check the address.")
        if not all(map(is_public, addresses)):
            raise AddressError(
                f"{host} is no public address: it belongs to this machine or its network. Save the picture and upload "
                "it."
            )
        return addresses[0]

    def _left(self) -> float:
        """Seconds that are left. Raises TimeoutError."""
        left = self.deadline - time.monotonic()
        if left <= 0:
            raise TimeoutError("timed out")
        return left


def _parts(url: str) -> tuple[str, str, int, str]:
    """(scheme, host, port, path with query), all ASCII. Raises AddressError."""
    wrong = AddressError("This is no address of a picture. Give one that begins with http:// or https://.")
    if not url or len(url) > 2000 or any(ord(letter) < 33 or ord(letter) == 127 for letter in url):
        raise wrong
    try:
        found = urlsplit(url)
        host, port = found.hostname or "", found.port
    except ValueError:
        raise wrong from None
    if found.scheme not in PORTS or not host:
        raise wrong
    if "@" in found.netloc:
        raise AddressError("The address has a name or a password in it. Give one that anybody may open.")
    if port not in (None, *PORTS.values()):
        raise AddressError(f"The address names port {port}. Pictures are fetched from ports 80 and 443 alone.")
    try:
        ascii_host = host if ":" in host else host.encode("idna").decode("ascii")
    except UnicodeError:
        raise wrong from None
    path = quote(found.path or "/", safe="/%:@!$&'()*+,;=~-._")
    query = f"?{quote(found.query, safe='/%:@!$&()*+,;=~-._?')}" if found.query else ""
    return found.scheme, ascii_host, port or PORTS[found.scheme], path + query
