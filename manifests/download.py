"""Fetching public archives: resumed, checked against a checksum, unpacked nowhere but in the target folder."""

from __future__ import annotations

import hashlib
import http.client
import logging
import lzma
import shutil
import ssl
import stat
import tarfile
import urllib.error
import urllib.request
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from manifests.lines import ManifestError
from manifests.progress import progress

LOG = logging.getLogger(__name__)

BLOCK = 1 << 20
ATTEMPTS = 3
MOST_ENTRIES = 20_000_000  # ten times the largest corpus
LARGEST = 30  # times the size of an archive that its contents may have; speech shrinks to a half, text to a tenth
SPARE = 1 << 30  # bytes beside that: small archives may be of silence
_NETWORK = (urllib.error.URLError, TimeoutError, ConnectionError, ssl.SSLError, http.client.HTTPException)
# What readers of damaged archives raise; zipfile has no word of its own for encrypted and for unknown compression.
_DAMAGED = (tarfile.TarError, zipfile.BadZipFile, EOFError, zlib.error, lzma.LZMAError, RuntimeError, OSError)


class _DamagedError(ManifestError):
    """An archive that is of no use."""


class _StrictTarInfo(tarfile.TarInfo):
    """tarfile takes a header that it cannot read for the end of the archive, and what follows would be lost."""

    @classmethod
    def fromtarfile(cls, archive: tarfile.TarFile) -> _StrictTarInfo:
        try:
            return super().fromtarfile(archive)
        except tarfile.EOFHeaderError:  # type: ignore[attr-defined]
            raise
        except tarfile.HeaderError as error:
            raise tarfile.ReadError(str(error)) from None


def fetch_archive(url: str, folder: Path, checksum: str | None = None) -> Path:
    """Download and unpack an archive once.

    Args:
        url: of a .tar.gz, .tar.bz2, .tar or .zip.
        folder: where its contents shall lie; a finished folder is reused.
        checksum: `md5:…` or `sha256:…` of the archive.

    Returns:
        the folder.

    Raises:
        ManifestError: the network, the checksum or the archive fails.
    """
    if folder.is_dir():
        return folder
    archive = folder.with_name(f"{folder.name}.archive")  # no name that a file of the user's may have
    fetch(url, archive, checksum)
    try:
        unpack(archive, folder)
    except _DamagedError:
        archive.unlink()
        raise
    archive.unlink()
    return folder


def fetch(url: str, target: Path, checksum: str | None = None) -> Path:
    """Download a file; what an earlier attempt left in `target.part` is continued.

    Args:
        url: http, https or file.
        target: the file to write.
        checksum: `md5:…` or `sha256:…`.

    Raises:
        ManifestError: the address cannot be reached, the file is not the one expected, or it cannot be written.
    """
    if target.exists() and _matches(target, checksum):
        return target
    partial = target.with_name(target.name + ".part")
    LOG.warning(f"fetching {url}")
    for attempt in range(1, ATTEMPTS + 1):
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            _transfer(url, partial)
            break
        except urllib.error.HTTPError as error:
            raise ManifestError(f"{url} answers {error.code} {error.reason}. {_elsewhere()}") from None
        except _NETWORK as error:
            if attempt == ATTEMPTS or not partial.exists():
                kept = f" {partial} keeps what came; the next call goes on from there." if partial.exists() else ""
                reason = getattr(error, "reason", error)
                raise ManifestError(f"{url} cannot be reached ({reason}). {_elsewhere()}{kept}") from None
        except OSError as error:
            raise ManifestError(
                f"{partial} cannot be written ({error.strerror or error}). Make room or choose another folder; "
                "the next call goes on from what came."
            ) from None
    if not _matches(partial, checksum):
        partial.unlink()
        raise ManifestError(
            f"{url} does not have the expected checksum {checksum}; what came was deleted. Try again, or fetch it "
            "elsewhere and give it as --source (data.source)."
        )
    partial.replace(target)
    return target


def _elsewhere() -> str:
    return "Without a network, fetch it elsewhere and give the archive or its folder as --source (data.source)."


def _transfer(url: str, partial: Path) -> None:
    have = partial.stat().st_size if partial.exists() else 0
    request = urllib.request.Request(url, headers={"Range": f"bytes={have}-"} if have else {})
    try:
        response = urllib.request.urlopen(request, timeout=30)
    except urllib.error.HTTPError as error:
        if error.code != 416 or not have:
            raise
        if error.headers.get("Content-Range") != f"bytes */{have}":  # there is not less to fetch: it is another file
            partial.unlink()
            _transfer(url, partial)
        return
    with response:
        resumed = getattr(response, "status", None) == 206
        left = int(response.headers.get("Content-Length") or 0)
        if left > (free := shutil.disk_usage(partial.parent).free):
            raise ManifestError(f"{url} needs {left >> 20:,} MB in {partial.parent}, which has {free >> 20:,} MB left.")
        received = 0
        with partial.open("ab" if resumed else "wb") as out:
            for block in progress(_blocks(response), "downloading (MB)", max(-(-left // BLOCK), 1)):
                out.write(block)
                received += len(block)
        if received < left:
            raise ConnectionError(f"the connection ended after {received} of {left} bytes")


def _blocks(response: Any) -> Iterator[bytes]:
    try:
        while block := response.read(BLOCK):
            yield block
    except http.client.IncompleteRead as error:
        yield error.partial
        raise


def _matches(path: Path, checksum: str | None) -> bool:
    if checksum is None:
        return True
    kind, _, expected = checksum.partition(":")
    digest = hashlib.new(kind)
    with path.open("rb") as file:
        while block := file.read(BLOCK):
            digest.update(block)
    return digest.hexdigest() == expected


def unpack(archive: Path, folder: Path) -> Path:
    """Unpack a tar or zip archive, all or nothing.

    Args:
        archive: what to unpack.
        folder: where to; made by this call.

    Raises:
        ManifestError: the archive is damaged, an entry would land outside the folder, is a link or one too many, or it
            cannot be written.
    """
    partial = folder.with_name(folder.name + ".part")
    shutil.rmtree(partial, ignore_errors=True)
    try:
        partial.mkdir(parents=True)
        # The end of a tar that holds a zip looks like a zip.
        if zipfile.is_zipfile(archive) and not tarfile.is_tarfile(archive):
            _unpack_zip(archive, partial)
        else:
            _unpack_tar(archive, partial)
        partial.replace(folder)
    except tarfile.FilterError as error:
        raise ManifestError(f"{archive} was refused: {error}.") from None
    except _DAMAGED as error:
        if isinstance(error, OSError) and error.errno:
            reason = f"{error.filename or folder}: {error.strerror}"
            raise ManifestError(
                f"{archive} cannot be unpacked ({reason}). Make room or choose another folder."
            ) from None
        # tarfile lists, over several lines, all kinds of tar that it is not.
        reason = "it is no archive, or half of one" if "\n" in str(error) else str(error)
        raise _DamagedError(f"{archive} did not unpack ({reason}). Fetch it again.") from None
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return folder


class _Bounds:
    """What an archive may unpack to: files and folders alone, and not without end.

    Args:
        archive: that is unpacked.
        folder: where to.
    """

    def __init__(self, archive: Path, folder: Path):
        self.archive = archive
        self.largest = LARGEST * archive.stat().st_size + SPARE
        self.free = shutil.disk_usage(folder).free
        self.entries = self.bytes = 0

    def count(self, name: str, size: int, plain: bool) -> None:
        """Take an entry into account, before it is unpacked.

        Raises:
            ManifestError: it is refused, or one too many.
        """
        self.entries, self.bytes = self.entries + 1, self.bytes + size
        cure = "Fetch it from where its makers keep it; if it is right, unpack it and give the folder as --source."
        if not plain:
            raise ManifestError(
                f"{self.archive} was refused: its entry {name!r} is a link or a device, which no corpus needs. {cure}"
            )
        if self.entries > MOST_ENTRIES:
            raise ManifestError(f"{self.archive} was refused: it holds more than {MOST_ENTRIES:,} entries. {cure}")
        if self.bytes > self.largest:
            raise ManifestError(
                f"{self.archive} was refused: it unpacks to more than {self.largest / 1e9:,.1f} GB, too much for its "
                f"size. {cure}"
            )
        if self.bytes > self.free:
            raise ManifestError(
                f"{self.archive} cannot be unpacked: it needs more than the {self.free / 1e9:,.1f} GB that are free. "
                "Make room or choose another folder."
            )


def _unpack_tar(archive: Path, folder: Path) -> None:
    bounds = _Bounds(archive, folder)
    with tarfile.open(archive, tarinfo=_StrictTarInfo) as opened:
        for entry in progress(opened, "unpacking", 0):
            bounds.count(entry.name, entry.size, entry.isreg() or entry.isdir())
            opened.extract(entry, folder, filter="data")
        while opened.fileobj and opened.fileobj.read(BLOCK):  # gzip checks its sum at the very end
            pass


def _unpack_zip(archive: Path, folder: Path) -> None:
    bounds = _Bounds(archive, folder)
    with zipfile.ZipFile(archive) as opened:
        for entry in opened.infolist():
            if not (folder / entry.filename).resolve().is_relative_to(folder.resolve()):
                raise ManifestError(
                    f"{archive} was refused: its entry {entry.filename!r} would land outside the folder."
                )
            kind = stat.S_IFMT(entry.external_attr >> 16)
            bounds.count(entry.filename, entry.file_size, kind in (0, stat.S_IFREG, stat.S_IFDIR))
        for entry in progress(opened.infolist(), "unpacking", len(opened.infolist())):
            opened.extract(entry, folder)


def located(source: Path | None, folder: Path, url: str, checksum: str | None = None) -> Path:
    """The folder of a dataset: the one given, or an archive given and unpacked, or the public download.

    Args:
        source: folder or archive, None to download.
        folder: where an archive is unpacked to.
        url: of the public archive.
        checksum: of the public archive.

    Raises:
        ManifestError: see `fetch` and `unpack`; or there is no such source, or the folder holds another archive.
    """
    if source is None:
        return fetch_archive(url, folder, checksum)
    if source.is_dir():
        return source
    if not source.exists():
        raise ManifestError(f"The source {source} does not exist. Give the dataset's folder or its archive.")
    origin = folder.with_name(f"{folder.name}.txt")
    described = f"unpacked from {source.name}, {source.stat().st_size} bytes\n"
    if not folder.is_dir():
        unpack(source, folder)
        origin.write_text(described, encoding="utf-8")
    elif origin.exists() and origin.read_text(encoding="utf-8") != described:
        raise ManifestError(f"{folder} holds what another archive had in it. Delete it, or give another --out.")
    return folder
