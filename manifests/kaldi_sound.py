"""What stands in Kaldi's wav.scp: paths, sound within archives, and commands that write sound.

Kaldi calls them extended filenames (kaldi-asr.org/doc/io.html).
"""

from __future__ import annotations

import hashlib
import os
import re
import shlex
import struct
import subprocess
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from manifests.found import Found
from manifests.lines import ManifestError
from manifests.progress import threaded
from manifests.show import from_here

LOOKED_AT = 50  # entries that show what paths are relative to
_ARCHIVE = re.compile(r"(.+):(\d+)")


@dataclass(frozen=True)
class _Pending:
    """Sound that has to be written to a file first."""

    target: Path
    where: str
    write: Callable[[Path], str | None]


class Scripts:
    """Reads entries of wav.scp; sound that is in no file of its own is written below a folder, once.

    Args:
        folder: for the sound of commands and archives.
        allow_commands: whether commands are run.
    """

    def __init__(self, folder: Path, allow_commands: bool):
        self.folder, self.allow = folder, allow_commands
        self.pending: dict[Path, _Pending] = {}
        self.notes: dict[Path, list[str]] = {}

    def paths(self, folder: Path, entries: Mapping[str, tuple[str, str]], bases: Sequence[Path]) -> dict[str, Path]:
        """Where the sound of each recording lies, or will when `fetch` has run.

        Args:
            folder: the data directory, for messages.
            entries: `file:line` and the rest of the line by recording.
            bases: what relative paths may be relative to.

        Raises:
            ManifestError: an entry is a command and commands are not allowed, it is none that is known, or no base
                leads anywhere.
        """
        commands = [(where, entry) for where, entry in entries.values() if entry.endswith("|")]
        if commands and not self.allow:
            where, entry = commands[0]
            more = f", as are {len(commands) - 1:,} others" if len(commands) > 1 else ""
            raise ManifestError(
                f"{where}: {entry!r:.120} is a command{more}. Where you trust the folder and whoever wrote it, "
                "--allow-commands (data.allow_commands=true in train.py) runs them; or convert the sound yourself."
            )
        for where, entry in entries.values():
            if entry.startswith("|") or entry == "-" or entry.endswith("]"):
                raise ManifestError(f"{where}: {entry!r:.120} is no path, command or place in an archive. Mend it.")
        base = self._base(folder, entries, bases)
        return {name: self._path(name, where, entry, base) for name, (where, entry) in entries.items()}

    def said(self, folder: Path) -> str:
        """How the paths of a data directory were read, to be added to a sentence."""
        return "".join(f", {note}" for note in self.notes.get(folder, ()))

    def fetch(self, found: Found) -> None:
        """Write the sound of commands and archives that is not there yet; what fails is left out of the recordings."""
        missing = [one for one in self.pending.values() if not one.target.is_file()]
        if not missing:
            return
        failed = {}
        for one, reason in zip(missing, threaded(_fetch, missing, "fetching"), strict=True):
            if reason is not None:
                failed[one.target] = reason
        if not failed:
            return
        lost = Counter(one.audio for one in found.recordings if one.audio in failed)
        for target, count in lost.items():
            for _ in range(count):
                found.leave_out("utterances whose sound could not be fetched", failed[target])
        found.recordings = [one for one in found.recordings if one.audio not in failed]

    def _base(self, folder: Path, entries: Mapping[str, tuple[str, str]], bases: Sequence[Path]) -> Path:
        relative = [paths for _, entry in entries.values() if (paths := list(_relative(entry)))][:LOOKED_AT]
        if not relative:
            return bases[0]
        hits = [sum(any((base / path).is_file() for path in paths) for paths in relative) for base in bases]
        best = bases[hits.index(max(hits))]
        if not max(hits):
            tried = ", ".join(map(str, bases))
            raise ManifestError(
                f"{folder / 'wav.scp'}: {relative[0][0]} and others lie in none of {tried}. Give the folder that the "
                "paths are relative to with --root (data.root in train.py)."
            )
        self.notes.setdefault(folder, []).append(f"paths relative to {from_here(best)}")
        return best

    def _path(self, name: str, where: str, entry: str, base: Path) -> Path:
        if entry.endswith("|"):
            return self._later(name, where, f"{base}\0{entry}", lambda target: _run(entry[:-1], base, target))
        if (place := _ARCHIVE.fullmatch(entry)) and not (base / entry).is_file():
            archive, start = base / place[1], int(place[2])
            return self._later(name, where, f"{archive}\0{start}", lambda target: _copy(archive, start, target))
        return base / entry

    def _later(self, name: str, where: str, what: str, write: Callable[[Path], str | None]) -> Path:
        # The name says what it holds: another command is another file.
        digest = hashlib.sha256(what.encode(errors="surrogatepass")).hexdigest()[:12]
        target = self.folder / f"{re.sub(r'[^A-Za-z0-9_.-]', '_', name)[:80]}-{digest}.wav"
        self.pending[target] = _Pending(target, where, write)
        return target


def _relative(entry: str) -> Iterator[str]:
    """Relative paths that an entry names, or may name where it is a command."""
    if entry.endswith("|"):
        try:
            words = shlex.split(entry[:-1])
        except ValueError:
            words = entry[:-1].split()
        yield from (word for word in words[1:] if re.search("[./]", word) and not word.startswith(("-", "/")))
    elif not os.path.isabs(entry):
        yield entry
        if place := _ARCHIVE.fullmatch(entry):
            yield place[1]


def _fetch(one: _Pending) -> str | None:
    one.target.parent.mkdir(parents=True, exist_ok=True)
    partial = one.target.with_suffix(".part")
    try:
        if (reason := one.write(partial)) is not None:
            return f"{one.where}: {reason}"
        partial.replace(one.target)
    finally:
        partial.unlink(missing_ok=True)
    return None


def _run(command: str, base: Path, target: Path) -> str | None:
    """Write what a command prints; the reason where that fails."""
    with target.open("wb") as out:
        # By the shell, as Kaldi does. Nothing is typed into it.
        done = subprocess.run(
            command, shell=True, cwd=base, stdin=subprocess.DEVNULL, stdout=out, stderr=subprocess.PIPE, check=False
        )
    said = done.stderr.decode(errors="replace").strip().splitlines()
    if done.returncode:
        return f"the command {command.strip()!r:.120} failed ({said[-1] if said else f'exit {done.returncode}':.160})."
    if not target.stat().st_size:
        return f"the command {command.strip()!r:.120} wrote nothing{f' ({said[-1]:.160})' if said else ''}."
    return None


def _copy(archive: Path, start: int, target: Path) -> str | None:
    """Write the wav that lies in an archive; the reason where that fails."""
    try:
        with archive.open("rb") as file:
            file.seek(start)
            header = file.read(8)
            if header[:4] != b"RIFF" or len(header) < 8:
                return f"no wav lies in {archive} at {start}. Copy the sound out of it with Kaldi's wav-copy."
            size = struct.unpack("<I", header[4:])[0]
            content = file.read(size)
    except OSError as error:
        return f"{archive} cannot be read ({error.strerror})."
    if len(content) < size:
        return f"{archive} ends within the wav at {start}: {len(content)} bytes are there of {size}. Fetch it again."
    target.write_bytes(header + content)
    return None
