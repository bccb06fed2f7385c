"""How Home Assistant finds the service: multicast DNS, here on the loopback alone."""

from __future__ import annotations

import asyncio
import socket

import pytest

from heyjetson.wyoming import discovery

NAME = "heyjetson-of-a-test"


@pytest.fixture(autouse=True)
def _zeroconf():
    pytest.importorskip("zeroconf")


def hears_itself() -> bool:
    """Whether what is sent to a group on the loopback comes back: not every container lets it."""
    with (
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as here,
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as there,
    ):
        here.settimeout(5)
        try:
            here.bind(("", 0))
            group = socket.inet_aton(discovery.MULTICAST[0]) + socket.inet_aton("127.0.0.1")
            here.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, group)
            there.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, socket.inet_aton("127.0.0.1"))
            there.sendto(b"here", (discovery.MULTICAST[0], here.getsockname()[1]))
            return here.recv(8) == b"here"
        except OSError:
            return False


def test_the_service_is_found_as_long_as_it_is_there():
    if not hears_itself():
        pytest.skip("no multicast on this machine's loopback")
    from zeroconf.asyncio import AsyncServiceInfo, AsyncZeroconf

    async def found(patience: int) -> AsyncServiceInfo | None:
        asking = AsyncZeroconf(interfaces=["127.0.0.1"])
        try:
            return await asking.async_get_service_info(discovery.KIND, f"{NAME}.{discovery.KIND}", timeout=patience)
        finally:
            await asking.async_close()

    async def scenario() -> None:
        async with discovery.announced("127.0.0.1", 12345, NAME):
            service = await found(20_000)
            assert (service.port, service.parsed_addresses()) == (12345, ["127.0.0.1"])
        assert await found(200) is None

    assert discovery.available()
    asyncio.run(scenario())


def test_a_network_that_cannot_is_only_logged(caplog):
    async def scenario() -> None:
        async with discovery.announced("203.0.113.7", 12345, NAME):
            pass

    asyncio.run(scenario())
    assert "Home Assistant has to be told the address" in caplog.text
