"""Which of a machine's addresses a rank uses, and whether it reaches another one."""

from __future__ import annotations

import socket

_CONNECT_SECONDS = 5.0


def route(host: str, port: int) -> str:
    """Return this machine's address on the way to `host`; nothing is sent."""
    family, kind, _, _, target = socket.getaddrinfo(host, port or 1, type=socket.SOCK_DGRAM)[0]
    with socket.socket(family, kind) as probe:
        probe.connect(target)
        return str(probe.getsockname()[0])


def addresses() -> dict[str, list[str]]:
    """Return the IP addresses of every network interface of this machine, IPv4 first."""
    import psutil

    families = (socket.AF_INET, socket.AF_INET6)
    found = {
        str(name): [
            str(one.address.split("%")[0])
            for family in families
            for one in of_interface
            if one.family == family
        ]
        for name, of_interface in psutil.net_if_addrs().items()
    }
    return {name: of_interface for name, of_interface in found.items() if of_interface}


def interface_of(address: str) -> str:
    """Return the network interface that has `address`."""
    for name, of_interface in addresses().items():
        if address in of_interface:
            return name
    raise RuntimeError(f"no network interface has the address {address}")


def why_unreachable(address: str, port: int) -> str | None:
    """Open and close a connection; return why that fails, or None."""
    try:
        socket.create_connection((address, port), timeout=_CONNECT_SECONDS).close()
    except OSError as error:
        return error.strerror or str(error)
    return None
