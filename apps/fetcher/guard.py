"""The guard: URLs and addresses come in; what is not on the public internet is refused before it is dialled."""

import asyncio
import ipaddress
import socket
from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import Any

from yarl import URL

AddressInfo = tuple[socket.AddressFamily | int, socket.SocketKind | int, int, str, tuple[Any, ...]]

# `ipaddress.is_global` calls many of these public, and newer versions of Python call others so: the table decides.
DENIED = [
    ipaddress.ip_network(network)
    for network in (
        "0.0.0.0/8",  # this host
        "10.0.0.0/8",  # private
        "100.64.0.0/10",  # carrier-grade NAT, and a cloud's metadata
        "127.0.0.0/8",  # loopback
        "168.63.129.16/32",  # a cloud's metadata on an address that looks public
        "169.254.0.0/16",  # link-local, with most clouds' metadata
        "172.16.0.0/12",  # private
        "192.0.0.0/24",  # protocol assignments, and a cloud's metadata
        "192.0.2.0/24",  # documentation
        "192.88.99.0/24",  # 6to4 relays
        "192.168.0.0/16",  # private
        "198.18.0.0/15",  # benchmarks
        "198.51.100.0/24",  # documentation
        "203.0.113.0/24",  # documentation
        "224.0.0.0/4",  # multicast
        "240.0.0.0/4",  # reserved, broadcast
        "::/3",  # unspecified, loopback, mapped, compatible, both NAT64 prefixes, discard
        "2001::/23",  # protocol assignments, Teredo
        "2001:db8::/32",  # documentation
        "2002::/16",  # 6to4
        "3fff::/20",  # documentation
        "4000::/2",  # reserved, segment routing
        "8000::/1",  # reserved, unique local, link-local, site-local, multicast
    )
]


class Blocked(OSError):
    """This may not be fetched."""


def host_and_port(pair: str) -> tuple[str, int]:
    """Split "intranet.example:8080" or "[::1]:80"; raises ValueError."""
    host, _, port = pair.rpartition(":")
    if not host or not (port.isascii() and port.isdigit()):
        raise ValueError(f"must be host:port pairs, and {pair!r} is none")
    return host.strip("[]").lower(), int(port)


@lru_cache(maxsize=4096)
def is_public(address: str) -> bool:
    """Whether this is the address of one machine on the public internet, in the usual spelling and without a zone."""
    try:
        ip = ipaddress.ip_address(address)
    except ValueError:
        return False
    return "%" not in address and not any(ip in network for network in DENIED)


async def look_up(host: str, port: int, family: int) -> Sequence[AddressInfo]:
    """Ask the system's resolver; raises OSError for a name nobody knows."""
    try:
        return await asyncio.get_running_loop().getaddrinfo(host, port, family=family, type=socket.SOCK_STREAM)
    except UnicodeError:  # a label of a name is empty or too long
        raise Blocked from None


class Guard:
    """Decides what may be dialled.

    Args:
        ports: the ports that are open to everybody.
        allow: exact host:port pairs that may be private and on any port.
    """

    def __init__(self, ports: Iterable[int], allow: Iterable[str] = ()) -> None:
        self._ports = frozenset(ports)
        self._allowed = frozenset(map(host_and_port, allow))
        self._dialled = set(self._allowed)  # with the addresses that allowed names have

    def admit(self, url: URL) -> None:
        """Raises Blocked unless it is http or https, without a password, and its host and port may be asked for."""
        if url.scheme not in ("http", "https") or url.user is not None or url.password is not None:
            raise Blocked
        self._admit(url.raw_host or "", url.port or 0)

    def _admit(self, host: str, port: int) -> bool:
        """Whether it is an exception; raises Blocked for a closed port and an address that is not public."""
        if (host, port) in self._allowed:
            return True
        literal = ":" in host or host.replace(".", "").isdigit()
        if not host or port not in self._ports or (literal and not is_public(host)):
            raise Blocked
        return False

    async def resolve(self, host: str, port: int, family: int = socket.AF_UNSPEC) -> Sequence[AddressInfo]:
        """The addresses of a host; raises Blocked when one of them is not public, OSError when there are none."""
        allowed = self._admit(host, port)
        found = await look_up(host, port, family)
        addresses = {str(address[0]) for *_, address in found}
        if allowed:
            self._dialled |= {(address, port) for address in addresses}
        elif not all(map(is_public, addresses)):
            raise Blocked
        return found

    def socket(self, info: AddressInfo) -> socket.socket:
        """The socket for an address that is about to be dialled; raises Blocked."""
        family, kind, protocol, _, (address, port, *_) = info
        if (address, port) not in self._dialled and not (port in self._ports and is_public(address)):
            raise Blocked
        return socket.socket(family, kind, protocol)
