"""Is the server there?"""

import httpx


def test_the_server_says_that_it_is_ready(site):
    assert httpx.get(f"{site}/health/live").json() == {"status": "live"}
    assert httpx.get(f"{site}/health/ready").json() == {"status": "ready", "model": "tones", "provider": "cpu"}


def test_every_page_is_there(site):
    for path in ("/", "/live", "/explore", "/performance", "/compare", "/sentiment", "/about"):
        page = httpx.get(f"{site}{path}")
        assert page.status_code == 200
        assert 'aria-current="page"' in page.text
