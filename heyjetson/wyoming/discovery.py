"""How Home Assistant finds the service by itself: multicast DNS, where the package zeroconf is installed."""

from __future__ import annotations

import importlib.util
import logging
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

LOG = logging.getLogger("heyjetson.wyoming")
KIND = "_wyoming._tcp.local."
MULTICAST = ("224.0.0.251", 5353)
ANY = ("0.0.0.0", "::")


def available() -> bool:
    """Whether zeroconf is installed."""
    return importlib.util.find_spec("zeroconf") is not None


@asynccontextmanager
async def announced(host: str, port: int, name: str) -> AsyncIterator[None]:
    """Announce a service on the local network as long as the context is open; a network that cannot is only logged.

    Args:
        host: that the service listens on.
        port: of it.
        name: that it is shown under.
    """
    from zeroconf import Error, IPVersion
    from zeroconf.asyncio import AsyncServiceInfo, AsyncZeroconf

    zeroconf = None
    try:
        address = own_address() if host in ANY else socket.getaddrinfo(host, port, socket.AF_INET)[0][4][0]
        service = AsyncServiceInfo(KIND, f"{name}.{KIND}", port=port, parsed_addresses=[str(address)])
        zeroconf = AsyncZeroconf(interfaces=[str(address)], ip_version=IPVersion.V4Only)
        await zeroconf.async_register_service(service, allow_name_change=True)
    except (OSError, Error) as error:
        LOG.warning("Home Assistant has to be told the address, it cannot be announced: %s", error)
    try:
        yield
    finally:
        if zeroconf:
            await zeroconf.async_unregister_all_services()
            await zeroconf.async_close()


def own_address() -> str:
    """The address of this machine that the local network knows; nothing is sent for it."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.connect(MULTICAST)
        return str(probe.getsockname()[0])
