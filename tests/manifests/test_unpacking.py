"""An archive unpacks to files and folders alone, and to no more than a corpus of its size holds."""

import stat
import tarfile
import zipfile

import pytest

from manifests import ManifestError, download
from manifests.download import unpack
from tests.manifests.test_download import GOOD, below, tar, zipped


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.FIFOTYPE])
def test_links_are_refused_even_inside(tmp_path, kind):
    archive = tar(tmp_path / "a.tar", [*GOOD, ("set/other.wav", (kind, "set/wavs/1.wav"))], "w")
    with pytest.raises(ManifestError, match=r"was refused: its entry 'set/other.wav' is a link or a device.*--source"):
        unpack(archive, tmp_path / "folder")
    assert [path.name for path in tmp_path.iterdir()] == ["a.tar"]


def test_links_in_a_zip_are_refused(tmp_path):
    archive = zipped(tmp_path / "a.zip", GOOD)
    with zipfile.ZipFile(archive, "a") as opened:
        entry = zipfile.ZipInfo("set/link")
        entry.external_attr = (stat.S_IFLNK | 0o777) << 16
        opened.writestr(entry, "wavs/1.wav")
    with pytest.raises(ManifestError, match="'set/link' is a link"):
        unpack(archive, tmp_path / "folder")


def deflated(path, entries):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as opened:
        for name, content in entries:
            opened.writestr(name, content)
    return path


@pytest.mark.parametrize("make", [tar, deflated])
def test_what_unpacks_to_far_more_than_its_size_is_refused(tmp_path, make, monkeypatch):
    archive = make(tmp_path / "a", [*GOOD, ("zeros", bytes(9_000_000))])
    assert len(below(unpack(archive, tmp_path / "folder"))) == 4  # so small that it does not matter
    monkeypatch.setattr(download, "SPARE", 1_000_000)
    with pytest.raises(ManifestError, match=r"was refused: it unpacks to more than \d.\d GB, too much for its size"):
        unpack(archive, tmp_path / "again")
    assert not (tmp_path / "again").exists()


@pytest.mark.parametrize("make", [tar, zipped])
def test_so_many_entries_are_refused(tmp_path, make, monkeypatch):
    monkeypatch.setattr(download, "MOST_ENTRIES", 2)
    with pytest.raises(ManifestError, match="was refused: it holds more than 2 entries"):
        unpack(make(tmp_path / "a", GOOD), tmp_path / "folder")


def test_what_does_not_fit_is_said_before_it_is_tried(tmp_path, monkeypatch):
    archive = tar(tmp_path / "a", GOOD)
    monkeypatch.setattr(download.shutil, "disk_usage", lambda _: type("Usage", (), {"free": 1000}))
    with pytest.raises(ManifestError, match=r"it needs more than the 0\.0 GB that are free. Make room"):
        unpack(archive, tmp_path / "folder")
