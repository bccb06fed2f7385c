"""Over a real connection that breaks, lies and refuses; out of archives that are damaged or hostile."""

import gzip
import hashlib
import http.server
import io
import os
import shutil
import tarfile
import threading
import types
import zipfile

import numpy as np
import pytest

from manifests import ManifestError
from manifests import download as module
from manifests.download import fetch, fetch_archive, located, unpack

CONTENT = np.random.default_rng(0).integers(0, 256, 3_000_000, np.uint8).tobytes()
SUM = "sha256:" + hashlib.sha256(CONTENT).hexdigest()


class Handler(http.server.BaseHTTPRequestHandler):
    """Serves `server.content`; `server.breaks` are the bytes after which each next answer breaks off."""

    protocol_version = "HTTP/1.1"

    def do_GET(self):
        server = self.server
        asked = self.headers.get("Range")
        server.asked.append(asked)
        content = server.content
        self.close_connection = True
        if self.path != "/archive":
            self.send_error(404)
            return
        start = int(asked.removeprefix("bytes=").rstrip("-")) if asked and server.resumes else 0
        if start >= len(content):
            self.send_response(416)
            self.send_header("Content-Range", f"bytes */{len(content)}")
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        self.send_response(206 if start else 200)
        if start:
            self.send_header("Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}")
        if server.chunked:
            self.send_header("Transfer-Encoding", "chunked")
        else:
            self.send_header("Content-Length", str(len(content) - start))
        self.end_headers()
        rest = content[start:]
        sent = rest[: server.breaks.pop(0)] if server.breaks else rest
        if server.chunked:
            for at in range(0, len(sent), 100_000):
                piece = sent[at : at + 100_000]
                self.wfile.write(f"{len(piece):x}\r\n".encode() + piece + b"\r\n")
            if len(sent) == len(rest):
                self.wfile.write(b"0\r\n\r\n")
        else:
            self.wfile.write(sent)

    def log_message(self, *_):
        pass


@pytest.fixture(autouse=True)
def no_proxy(monkeypatch):
    monkeypatch.setenv("no_proxy", "*")


@pytest.fixture
def server():
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as running:
        running.handle_error = lambda *_: None  # a client that hangs up
        running.content, running.breaks, running.asked = CONTENT, [], []
        running.resumes, running.chunked = True, False
        running.url = f"http://127.0.0.1:{running.server_address[1]}/archive"
        thread = threading.Thread(target=running.serve_forever, args=(0.01,))
        thread.start()
        yield running
        running.shutdown()
        thread.join()


def test_a_download(server, tmp_path):
    target = tmp_path / "deep" / "er" / "file"
    assert fetch(server.url, target, SUM) == target
    assert target.read_bytes() == CONTENT
    assert [path.name for path in target.parent.iterdir()] == ["file"]
    fetch(server.url, target, SUM)
    assert server.asked == [None]


@pytest.mark.parametrize("chunked", [False, True])
def test_a_broken_transfer_is_continued_at_once(server, tmp_path, chunked):
    server.breaks = [1_200_000, 1_000_000]
    server.chunked = chunked
    fetch(server.url, tmp_path / "file", SUM)
    assert (tmp_path / "file").read_bytes() == CONTENT
    first, second, third = server.asked
    assert first is None
    # What came before the break is not fetched again.
    assert int(second.removeprefix("bytes=")[:-1]) >= 1_000_000
    assert int(third.removeprefix("bytes=")[:-1]) >= 2_000_000


def test_a_broken_transfer_is_continued_by_the_next_call(server, tmp_path):
    server.breaks = [1_200_000, 0, 0]
    with pytest.raises(ManifestError, match="file.part keeps what came; the next call goes on from there") as raised:
        fetch(server.url, tmp_path / "file", SUM)
    assert "--source" in str(raised.value) and "ended after 0 of 1800000 bytes" in str(raised.value)
    assert not (tmp_path / "file").exists()
    fetch(server.url, tmp_path / "file", SUM)
    assert (tmp_path / "file").read_bytes() == CONTENT
    assert server.asked[-1] == "bytes=1200000-"


def test_a_server_that_cannot_resume(server, tmp_path):
    server.resumes = False
    server.breaks = [1_200_000]
    fetch(server.url, tmp_path / "file", SUM)
    assert (tmp_path / "file").read_bytes() == CONTENT
    assert server.asked == [None, "bytes=1200000-"]


@pytest.mark.parametrize("checksum", [SUM, None])
def test_a_part_that_is_whole(server, tmp_path, checksum):
    (tmp_path / "file.part").write_bytes(CONTENT)
    fetch(server.url, tmp_path / "file", checksum)
    assert (tmp_path / "file").read_bytes() == CONTENT
    assert server.asked == ["bytes=3000000-"]


@pytest.mark.parametrize("checksum", [SUM, None])
def test_a_part_longer_than_the_file(server, tmp_path, checksum):
    (tmp_path / "file.part").write_bytes(b"of another file" + CONTENT)
    fetch(server.url, tmp_path / "file", checksum)
    assert (tmp_path / "file").read_bytes() == CONTENT


def test_a_part_of_another_file(server, tmp_path):
    (tmp_path / "file.part").write_bytes(b"of another file")
    with pytest.raises(ManifestError, match=f"does not have the expected checksum {SUM}; what came was deleted"):
        fetch(server.url, tmp_path / "file", SUM)
    assert list(tmp_path.iterdir()) == []
    fetch(server.url, tmp_path / "file", SUM)


def test_a_wrong_checksum(server, tmp_path):
    for checksum in ("md5:" + "0" * 32, "sha256:" + "0" * 64):
        with pytest.raises(ManifestError, match="expected checksum"):
            fetch_archive(server.url, tmp_path / "folder", checksum)
        assert list(tmp_path.iterdir()) == []
    fetch(server.url, tmp_path / "file", "md5:" + hashlib.md5(CONTENT).hexdigest())


def test_a_target_that_is_not_the_one_expected(server, tmp_path):
    (tmp_path / "file").write_bytes(b"something else")
    fetch(server.url, tmp_path / "file", SUM)
    assert (tmp_path / "file").read_bytes() == CONTENT


def test_not_found(server, tmp_path):
    with pytest.raises(ManifestError, match="/nowhere answers 404 Not Found. .*--source"):
        fetch(server.url.replace("archive", "nowhere"), tmp_path / "file")
    assert len(server.asked) == 1
    assert list(tmp_path.iterdir()) == []


def test_a_refused_connection(tmp_path):
    with http.server.HTTPServer(("127.0.0.1", 0), Handler) as closed:
        url = f"http://127.0.0.1:{closed.server_address[1]}/archive"
    with pytest.raises(ManifestError, match=r"cannot be reached \(.*refused.*\). .*--source \(data.source\)\.$"):
        fetch_archive(url, tmp_path / "folder")
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "folder.archive.part").write_bytes(b"half")
    with pytest.raises(ManifestError, match="folder.archive.part keeps what came"):
        fetch_archive(url, tmp_path / "folder")
    assert (tmp_path / "folder.archive.part").read_bytes() == b"half"


@pytest.mark.parametrize(
    "answer", [b"", b"nothing like HTTP\r\n\r\n", b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc"]
)
def test_an_answer_that_is_no_answer(tmp_path, answer):
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as running:
        running.RequestHandlerClass = lambda request, *_: (request.recv(9999), request.sendall(answer))
        thread = threading.Thread(target=running.serve_forever, args=(0.01,))
        thread.start()
        with pytest.raises(ManifestError, match="cannot be reached"):
            fetch(f"http://127.0.0.1:{running.server_address[1]}/archive", tmp_path / "file")
        running.shutdown()
        thread.join()
    assert not (tmp_path / "file").exists()


def test_a_disk_that_is_too_small(server, tmp_path, monkeypatch):
    monkeypatch.setattr(module.shutil, "disk_usage", lambda path: types.SimpleNamespace(free=2 << 20))
    server.content = CONTENT * 2
    with pytest.raises(ManifestError, match=r"needs 5 MB in .*, which has 2 MB left"):
        fetch(server.url, tmp_path / "file")
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_cannot_be_written(server, tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(ManifestError, match="cannot be written"):
        fetch(server.url, tmp_path / "file" / "below")


# ---- archives


def tar(path, entries, mode="w:gz"):
    """A tar with entries of (name, content or link)."""
    with tarfile.open(path, mode) as opened:
        for name, content in entries:
            entry = tarfile.TarInfo(name)
            if isinstance(content, bytes):
                entry.size = len(content)
                opened.addfile(entry, io.BytesIO(content))
            else:
                entry.type, entry.linkname = content
                opened.addfile(entry)
    return path


def zipped(path, entries):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as opened:
        for name, content in entries:
            opened.writestr(zipfile.ZipInfo(name), content)
    return path


GOOD = [("set/wavs/1.wav", CONTENT[:50_000]), ("set/wavs/2.wav", CONTENT[:70_000]), ("set/list.txt", b"text")]
KINDS = {
    "a.tar.gz": lambda path, entries: tar(path, entries, "w:gz"),
    "a.tar.bz2": lambda path, entries: tar(path, entries, "w:bz2"),
    "a.tar.xz": lambda path, entries: tar(path, entries, "w:xz"),
    "a.tar": lambda path, entries: tar(path, entries, "w"),
    "a.zip": zipped,
}


def below(folder):
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize("kind", KINDS)
def test_archives(tmp_path, kind):
    archive = KINDS[kind](tmp_path / kind, GOOD)
    assert below(unpack(archive, tmp_path / "deep" / "folder")) == dict(GOOD)
    assert archive.exists()
    assert [path.name for path in (tmp_path / "deep").iterdir()] == ["folder"]
    # By what it is, not by what it is called.
    archive.rename(tmp_path / "download")
    assert below(unpack(tmp_path / "download", tmp_path / "again")) == dict(GOOD)


def test_a_tar_that_ends_in_a_zip(tmp_path):
    inner = zipped(tmp_path / "inner.zip", [("x", b"y")]).read_bytes()
    archive = tar(tmp_path / "a.tar", [*GOOD, ("inner.zip", inner)], "w")
    assert sorted(below(unpack(archive, tmp_path / "folder"))) == ["inner.zip", *sorted(dict(GOOD))]


SYMLINK, HARDLINK, DEVICE = tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE
HOSTILE = {
    "up": [("../escape", b"x")],
    "up in the middle": [("set/../../escape", b"x")],
    "link to the outside": [("set/link", (SYMLINK, "../../outside"))],
    "link to the root": [("set/link", (SYMLINK, "/etc"))],
    "through a link": [("set", (SYMLINK, "..")), ("set/escape", b"x")],
    "hard link": [("set/link", (HARDLINK, "../outside"))],
    "device": [("set/null", (DEVICE, ""))],
}


@pytest.mark.parametrize("kind", HOSTILE)
def test_a_tar_that_wants_out(tmp_path, kind):
    (tmp_path / "outside").write_text("mine")
    archive = tar(tmp_path / "a.tar.gz", [*GOOD, *HOSTILE[kind]])
    with pytest.raises(ManifestError, match="a.tar.gz was refused: "):
        unpack(archive, tmp_path / "folder")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.tar.gz", "outside"]
    assert (tmp_path / "outside").read_text() == "mine"


@pytest.mark.parametrize("name", ["../escape", "set/../../escape", "/tmp/heyjetson-escape"])
def test_a_zip_that_wants_out(tmp_path, name):
    archive = zipped(tmp_path / "a.zip", [*GOOD, (name, b"x")])
    with pytest.raises(ManifestError, match="a.zip was refused: its entry .*escape' would land outside"):
        unpack(archive, tmp_path / "folder")
    assert [path.name for path in tmp_path.iterdir()] == ["a.zip"]


def test_absolute_paths_of_a_tar_land_inside(tmp_path):
    archive = tar(tmp_path / "a.tar", [("/heyjetson/escape", b"x")], "w")
    assert below(unpack(archive, tmp_path / "folder")) == {"heyjetson/escape": b"x"}
    assert not os.path.exists("/heyjetson")


def damaged(tmp_path, kind, how):
    path = KINDS[kind](tmp_path / kind, GOOD)
    content = bytearray(path.read_bytes())
    middle = len(content) // 2
    if how == "cut":
        content = content[:middle]
    elif how == "cut at the end":
        content = content[:-30] if kind != "a.tar" else content[: content.rindex(b"text") - 400]
    elif how == "flipped":
        content[middle : middle + 40] = bytes(40)
    elif how == "empty":
        content = bytearray()
    elif how == "web page":
        content = bytearray(b"<html>Please log in</html>" * 99)
    path.write_bytes(content)
    return path


DAMAGES = [
    (kind, how)
    for kind in KINDS
    for how in ("cut", "cut at the end", "flipped", "empty", "web page")
    if (kind, how) != ("a.tar", "flipped")  # a tar has no checksum of its contents
]


@pytest.mark.parametrize(("kind", "how"), DAMAGES)
def test_a_damaged_archive(tmp_path, kind, how):
    archive = damaged(tmp_path, kind, how)
    with pytest.raises(ManifestError, match=f"{kind} did not unpack .* Fetch it again"):
        unpack(archive, tmp_path / "folder")
    assert [path.name for path in tmp_path.iterdir()] == [kind]


def test_a_tar_with_a_damaged_header(tmp_path):
    """What tarfile takes for the end of the archive: the rest would be missing without a word."""
    content = bytearray(tar(tmp_path / "a.tar", GOOD, "w").read_bytes())
    at = content.index(b"set/wavs/2.wav")
    content[at : at + 4] = b"xxxx"
    for name, damaged_ in (("a.tar", content), ("a.tar.gz", gzip.compress(bytes(content)))):
        (tmp_path / name).write_bytes(damaged_)
        with pytest.raises(ManifestError, match="did not unpack"):
            unpack(tmp_path / name, tmp_path / "folder")
        assert not (tmp_path / "folder").exists()


def test_an_encrypted_zip(tmp_path):
    content = bytearray(zipped(tmp_path / "a.zip", GOOD).read_bytes())
    for signature, flags in ((b"PK\x01\x02", 8), (b"PK\x03\x04", 6)):
        at = -1
        while (at := content.find(signature, at + 1)) >= 0:
            content[at + flags] |= 1
    (tmp_path / "a.zip").write_bytes(content)
    with pytest.raises(ManifestError, match="encrypted"):
        unpack(tmp_path / "a.zip", tmp_path / "folder")


@pytest.mark.parametrize("kind", ["a.tar.gz", "a.zip"])
def test_an_interruption_leaves_nothing_behind(tmp_path, monkeypatch, kind):
    archive = KINDS[kind](tmp_path / kind, GOOD)
    opened = tarfile.TarFile if kind == "a.tar.gz" else zipfile.ZipFile
    extract = opened.extract
    done = []

    def interrupted(self, *given, **keys):
        if len(done) == 2:
            raise KeyboardInterrupt
        done.append(extract(self, *given, **keys))

    with monkeypatch.context() as patched:
        patched.setattr(opened, "extract", interrupted)
        with pytest.raises(KeyboardInterrupt):
            unpack(archive, tmp_path / "folder")
    assert len(done) == 2
    assert [path.name for path in tmp_path.iterdir()] == [kind]
    # A kill leaves the .part; it is not taken for the folder, and does not get into it.
    (tmp_path / "folder.part").mkdir()
    (tmp_path / "folder.part" / "stale").touch()
    assert below(unpack(archive, tmp_path / "folder")) == dict(GOOD)


def test_a_full_disk_is_not_a_damaged_archive(tmp_path, monkeypatch):
    def full(*_, **__):
        raise OSError(28, "No space left on device", "1.wav")

    archive = tar(tmp_path / "a.tar.gz", GOOD)
    monkeypatch.setattr(tarfile.TarFile, "extract", full)
    with pytest.raises(ManifestError, match=r"cannot be unpacked \(1.wav: No space left on device\). Make room"):
        unpack(archive, tmp_path / "folder")
    monkeypatch.undo()
    # A file where the folder should be.
    (tmp_path / "folder").touch()
    with pytest.raises(ManifestError, match="cannot be unpacked"):
        unpack(archive, tmp_path / "folder")


# ---- both


def test_an_archive_is_fetched_once(server, tmp_path):
    server.content = tar(tmp_path / "a.tar.gz", GOOD).read_bytes()
    checksum = "md5:" + hashlib.md5(server.content).hexdigest()
    (tmp_path / "data").mkdir()
    for _ in range(2):
        assert fetch_archive(server.url, tmp_path / "data" / "source", checksum) == tmp_path / "data" / "source"
    assert below(tmp_path / "data" / "source") == dict(GOOD)
    assert [path.name for path in (tmp_path / "data").iterdir()] == ["source"]
    assert server.asked == [None]


def test_a_damaged_download_is_fetched_anew(server, tmp_path):
    server.content = b"<html>Please log in</html>"
    with pytest.raises(ManifestError, match="did not unpack"):
        fetch_archive(server.url, tmp_path / "data" / "source")
    server.content = tar(tmp_path / "a.tar.gz", GOOD).read_bytes()
    assert below(fetch_archive(server.url, tmp_path / "data" / "source")) == dict(GOOD)


def test_a_download_that_does_not_fit_when_unpacked_is_kept(server, tmp_path, monkeypatch):
    server.content = tar(tmp_path / "a.tar.gz", GOOD).read_bytes()
    with monkeypatch.context() as patched:
        patched.setattr(
            tarfile.TarFile, "extract", lambda *_, **__: (_ for _ in ()).throw(OSError(28, "No space left"))
        )
        with pytest.raises(ManifestError, match="cannot be unpacked"):
            fetch_archive(server.url, tmp_path / "data" / "source")
    fetch_archive(server.url, tmp_path / "data" / "source")
    assert server.asked == [None]


def test_a_file_beside_the_folder_is_not_touched(tmp_path):
    archive = tar(tmp_path / "a.tar.gz", GOOD)
    fetch_archive(archive.as_uri(), tmp_path / "source")
    assert archive.exists()


def test_a_dataset_is_located(server, tmp_path):
    (tmp_path / "given").mkdir()
    nowhere = "http://127.0.0.1:9/none"
    assert located(tmp_path / "given", tmp_path / "out" / "source", nowhere) == tmp_path / "given"
    with pytest.raises(ManifestError, match="The source .*none does not exist"):
        located(tmp_path / "none", tmp_path / "out" / "source", nowhere)
    archive = tar(tmp_path / "a.tar.gz", GOOD)
    for _ in range(2):
        folder = located(archive, tmp_path / "out" / "source", nowhere)
        assert folder == tmp_path / "out" / "source"
        assert below(folder) == dict(GOOD)
    assert archive.exists()
    server.content = archive.read_bytes()
    assert below(located(None, tmp_path / "fetched", server.url)) == dict(GOOD)


def test_another_archive_is_not_taken_for_the_one_before(tmp_path):
    first = tar(tmp_path / "first.tar", GOOD, "w")
    second = tar(tmp_path / "second.tar", [("other", b"x")], "w")
    located(first, tmp_path / "out" / "source", "")
    with pytest.raises(ManifestError, match="source holds what another archive had in it. Delete it"):
        located(second, tmp_path / "out" / "source", "")
    shutil.rmtree(tmp_path / "out" / "source")
    assert below(located(second, tmp_path / "out" / "source", "")) == {"other": b"x"}


def test_a_damaged_source_is_not_deleted(tmp_path):
    archive = damaged(tmp_path, "a.tar.gz", "cut")
    with pytest.raises(ManifestError, match="did not unpack"):
        located(archive, tmp_path / "out", "")
    assert archive.exists()
