"""How Home Assistant finds the service: multicast DNS, here on the loopback alone."""

from __future__ import annotations

import asyncio

import pytest

from heyjetson.wyoming import discovery

NAME = "heyjetson-of-a-test"


@pytest.fixture(autouse=True)
def _zeroconf():
    pytest.importorskip("zeroconf")


def test_the_service_is_found_as_long_as_it_is_there():
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
