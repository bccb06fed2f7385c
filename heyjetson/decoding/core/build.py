"""Compile the beam search: `python -m heyjetson.decoding.core.build`.

The wheel's build runs this file, too, by its path.
"""

from __future__ import annotations

import hashlib
import os
import shlex
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

FOLDER = Path(__file__).parent
LIBRARY = FOLDER / "libbeam.so"
# The results shall be numpy's to the last bits: sums and products are not to be joined.
FLAGS = ("-std=c11", "-O2", "-ffp-contract=off", "-fno-fast-math", "-fPIC", "-shared", "-fvisibility=hidden")


def compiler() -> list[str] | None:
    """The C compiler, as CC names it, else cc, gcc or clang; None where there is none."""
    if named := shlex.split(os.environ.get("CC", "")):
        return named if shutil.which(named[0]) else None
    found = next(filter(None, map(shutil.which, ("cc", "gcc", "clang"))), None)
    return [found] if found else None


def source_hash(folder: Path = FOLDER) -> str:
    """SHA-256 of the sources, hexadecimal; the library knows that of those it was made from."""
    return hashlib.sha256(b"".join(path.read_bytes() for path in sorted(folder.glob("*.[ch]")))).hexdigest()


def build(library: Path = LIBRARY, flags: Sequence[str] = (), folder: Path = FOLDER) -> Path:
    """Compile the library, all or nothing.

    Args:
        library: where to.
        flags: for the compiler, after its usual ones.
        folder: of the sources.

    Raises:
        FileNotFoundError: there is no C compiler.
        subprocess.CalledProcessError: it fails; its messages are in `stderr`.
    """
    if not (command := compiler()):
        raise FileNotFoundError("There is no C compiler. Install gcc or clang, or name one in CC.")
    units = [str(path) for path in sorted(folder.glob("*.c"))]
    part = library.with_name(f"{library.name}.{os.getpid()}")
    try:
        named = f'-DSOURCE_HASH="{source_hash(folder)}"'
        subprocess.run(
            [*command, *FLAGS, *flags, named, *units, "-o", str(part), "-lm"],
            check=True, capture_output=True, text=True,
        )  # fmt: skip
        part.replace(library)
    finally:
        part.unlink(missing_ok=True)
    return library


if __name__ == "__main__":
    try:
        print(f"Built {build()}.")
    except FileNotFoundError as error:
        sys.exit(str(error))
    except subprocess.CalledProcessError as error:
        sys.exit(f"The compiler failed:\n{error.stderr}")
