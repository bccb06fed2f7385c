"""Folders that are whole or not there."""

from pathlib import Path

import pytest

from manifests.whole import whole_folder


def names(folder: Path) -> list[str]:
    """Of all that lies below a folder."""
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))


def test_a_folder_takes_the_place_of_the_one_before(tmp_path):
    place = tmp_path / "parent" / "bundle"
    for text in ("one", "two"):
        with whole_folder(place) as made:
            made.with_name("scratch").write_text("no part of it")
            (made / text).write_text(text)
    assert names(tmp_path) == ["parent", "parent/bundle", "parent/bundle/two"]


def test_what_stood_there_stays_where_writing_fails(tmp_path):
    place = tmp_path / "bundle"
    place.mkdir()
    (place / "kept").write_text("before")
    with pytest.raises(RuntimeError, match="half way"), whole_folder(place) as made:
        (made / "half").write_text("half")
        raise RuntimeError("half way")
    assert names(tmp_path) == ["bundle", "bundle/kept"]
    assert (place / "kept").read_text() == "before"
