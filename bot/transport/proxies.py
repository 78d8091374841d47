"""Which proxy an address needs: one rule for REST, streams and wallet. Any thread.

Not on the page. requests and websocket-client read the same variables by different rules, and neither leaves out this machine:
the wallet's token would go to the proxy in clear text.
"""

import base64
import ipaddress
import os
import re
import socket
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Optional, Union
from urllib.parse import quote, unquote, urlsplit

IPAddress = Union[ipaddress.IPv4Address, ipaddress.IPv6Address]

_VARIABLES = {"http": "http_proxy", "ws": "http_proxy", "https": "https_proxy", "wss": "https_proxy"}
_PORTS = {"http": 80, "ws": 80, "https": 443, "wss": 443}
_LOCAL_NAMES = ("localhost", "localhost.localdomain", "ip6-localhost", "ip6-loopback")


class ProxySettingError(OSError):
    """A variable that names a proxy which the bot cannot use. Never shows its user and password."""


@dataclass(frozen=True)
class Proxy:
    """An HTTP proxy, and the variable that names it."""

    variable: str
    host: str
    port: int
    user: str = ""
    password: str = field(default="", repr=False)

    @property
    def address(self) -> str:
        """For messages."""
        return f"http://{_bracketed(self.host)}:{self.port}"

    @property
    def url(self) -> str:
        """With user and password, for requests."""
        if not self.user:
            return self.address
        return f"http://{quote(self.user, safe='')}:{quote(self.password, safe='')}@{_bracketed(self.host)}:{self.port}"


def authorization(user: str, password: str) -> dict[str, str]:
    """Return the header with which a proxy gets its user and password; empty without a user."""
    credentials = base64.b64encode(f"{user}:{password}".encode()).decode()
    return {"Proxy-Authorization": f"Basic {credentials}"} if user else {}


def proxy_for(url: str) -> Optional[Proxy]:
    """Return the proxy that leads to an address, None if there is none or if the address is on this machine.

    As usual, `http_proxy` is for http:// and ws://, `https_proxy` for https:// and wss://, and `all_proxy` for both, each also
    in capitals. `no_proxy` lists hosts, domains and networks without a proxy.

    Raises:
        ProxySettingError: the variable does not name an HTTP proxy.
    """
    parts = urlsplit(url)
    scheme, host = parts.scheme.lower(), parts.hostname or ""
    variable, value = _environment(_VARIABLES.get(scheme, ""))
    if not value:
        variable, value = _environment("all_proxy")
    if not value or is_local(host) or _is_excluded(host, parts.port or _PORTS.get(scheme, 0)):
        return None
    return _parse(variable, value, host)


def via_proxy(url: str) -> str:
    """Return how a message names the proxy on the way to an address; empty if there is none."""
    try:
        proxy = proxy_for(url)
    except (ProxySettingError, ValueError):  # the message is about the proxy, or about a bad address
        return ""
    return f" (via {proxy.variable}, {proxy.address})" if proxy is not None else ""


def proxy_problems(urls: Iterable[str]) -> list[str]:
    """Return what is wrong with the proxies that lead to some addresses, one line each."""
    problems = []
    for url in urls:
        try:
            proxy_for(url)
        except ProxySettingError as error:
            problems.append(str(error))
        except ValueError:  # an address that is wrong itself
            continue
    return list(dict.fromkeys(problems))


def is_local(host: str) -> bool:
    """Return whether a host is this machine, by its name or its address: 127.0.0.1, and also 127.1, 0x7f000001 or ::1."""
    name = host.rstrip(".").lower()
    if name in _LOCAL_NAMES or name.endswith(".localhost") or name == socket.gethostname().lower():
        return True
    address = _ip_address(name)
    return address is not None and (address.is_loopback or address.is_unspecified)


def _environment(name: str) -> tuple[str, str]:
    """Return a variable's name as it is set, and its value; the one in small letters comes first."""
    for variable in (name, name.upper()):
        value = os.environ.get(variable, "").strip()
        if value:
            return variable, value
    return name, ""


def _parse(variable: str, value: str, host: str) -> Proxy:
    instead = f"name an http:// proxy, or add {host} to NO_PROXY"
    try:
        parts = urlsplit(value if "://" in value else f"http://{value.lstrip('/')}")
        scheme, port = parts.scheme.lower(), 80 if parts.port is None else parts.port
        is_complete = bool(port and parts.hostname and parts.hostname.encode("idna")) and value.isprintable() and " " not in value
    except ValueError:
        scheme, port, is_complete = value.partition("://")[0].lower(), 0, False
    if scheme.startswith("socks"):
        raise ProxySettingError(f"{variable} names a SOCKS proxy, which the bot cannot use: {instead}")
    if not is_complete or not parts.hostname:
        raise ProxySettingError(f"{variable} is not the address of a proxy, like http://proxy.example:3128: {instead}")
    if scheme != "http":
        raise ProxySettingError(f"{variable} names a proxy of the kind {scheme}://, which the bot cannot use: {instead}")
    return Proxy(variable, parts.hostname, port, unquote(parts.username or ""), unquote(parts.password or ""))


def _is_excluded(host: str, port: int) -> bool:
    name, address = host.rstrip(".").lower(), _ip_address(host)
    for entry in re.split(r"[\s,]+", _environment("no_proxy")[1].lower()):
        with_port = re.fullmatch(r"(\[.*\]|[^:]*):(\d+)", entry)
        if with_port and int(with_port[2]) != port:
            continue
        pattern = (with_port[1] if with_port else entry).strip("[]").removeprefix("*.").strip(".")
        if pattern and (pattern == "*" or name == pattern or name.endswith(f".{pattern}") or _is_in_network(address, pattern)):
            return True
    return False


def _is_in_network(address: Optional[IPAddress], network: str) -> bool:
    try:
        return address is not None and address in ipaddress.ip_network(network, strict=False)
    except (ValueError, TypeError):
        return False


def _ip_address(host: str) -> Optional[IPAddress]:
    """Return a host's address if it is written as one, in any form that the system's resolver takes."""
    try:
        address = ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        try:
            return ipaddress.IPv4Address(socket.inet_aton(host))
        except (OSError, ValueError):
            return None
    return getattr(address, "ipv4_mapped", None) or address


def _bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host else host
