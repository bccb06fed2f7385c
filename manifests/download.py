"""Fetching a public archive once, and unpacking nothing outside the target folder."""

from __future__ import annotations

import shutil
import sys
import tarfile
import urllib.error
import urllib.request
from pathlib import Path

from manifests.lines import ManifestError
from manifests.progress import progress

BLOCK = 1 << 20


def fetch_archive(url: str, folder: Path) -> Path:
    """Download and unpack a tar archive; a finished folder is reused, an interrupted one is begun anew.

    Args:
        url: of a .tar.gz.
        folder: where its contents shall lie.

    Returns:
        the folder.

    Raises:
        ManifestError: the network or the archive fails.
    """
    if folder.is_dir():
        return folder
    folder.parent.mkdir(parents=True, exist_ok=True)
    partial = folder.with_name(folder.name + ".part")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir()
    archive = partial / "archive.tar.gz"
    try:
        print(f"fetching {url}", file=sys.stderr)
        with urllib.request.urlopen(url, timeout=30) as response, archive.open("wb") as out:
            total = int(response.headers.get("Content-Length") or 0)
            blocks = iter(lambda: response.read(BLOCK), b"")
            for block in progress(blocks, "downloading", max(total // BLOCK, 1)):
                out.write(block)
        with tarfile.open(archive) as tar:
            tar.extractall(partial, filter="data")
    except (urllib.error.URLError, TimeoutError, ConnectionError) as error:
        shutil.rmtree(partial, ignore_errors=True)
        raise ManifestError(
            f"{url} cannot be reached ({getattr(error, 'reason', error)}). Without a network, fetch it elsewhere and "
            "give the unpacked folder as --source (data.source in train.py)."
        ) from None
    except (tarfile.TarError, OSError) as error:
        shutil.rmtree(partial, ignore_errors=True)
        raise ManifestError(
            f"{url} did not unpack ({error}). Try again, or give an unpacked folder as --source."
        ) from None
    archive.unlink()
    partial.replace(folder)
    return folder
