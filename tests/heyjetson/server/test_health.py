"""Is the server there?"""

from pathlib import Path
from types import SimpleNamespace

import httpx

from heyjetson.bundle import name_of


def test_the_server_says_that_it_is_ready(site):
    assert httpx.get(f"{site}/health/live").json() == {"status": "live"}
    assert httpx.get(f"{site}/health/ready").json() == {"status": "ready", "model": "tones", "provider": "cpu"}


def test_every_page_is_there(site):
    for path in ("/", "/live", "/explore", "/performance", "/compare", "/sentiment", "/about"):
        page = httpx.get(f"{site}{path}")
        assert page.status_code == 200
        assert 'aria-current="page"' in page.text


def test_a_folder_that_says_nothing_gives_no_name(tmp_path):
    def named(folder: Path, **manifest: object) -> str:
        return name_of(SimpleNamespace(folder=folder, manifest=manifest))

    for folder, name in (("mine", "mine"), ("mine/bundle", "mine"), ("a/mine/bundle", "mine")):
        assert named(tmp_path / folder) == name
    assert named(Path("/bundle")) == "bundle"
    assert named(tmp_path / "2026-11-27_15-58-43" / "bundle", training={"name": "digits"}) == "digits"
    assert named(tmp_path / "mine", training={"name": "digits"}) == "mine"
