"""The compiled beam search, beam.c, through ctypes. The wheel holds it built; in a checkout `python -m
heyjetson.decoding.core.build` builds it. Where it is missing or older than its source, numpy searches instead."""

from __future__ import annotations

import ctypes
import hashlib
import os
from ctypes import POINTER, c_char_p, c_double, c_int, c_int32, c_void_p
from functools import cache
from pathlib import Path

FOLDER = Path(__file__).parent
SOURCE = FOLDER / "beam.c"
LIBRARY = FOLDER / "libbeam.so"
SWITCH = "HEYJETSON_DECODER"  # numpy: do without the compiled one


class Guide(ctypes.Structure):
    """What beam.c calls Guide."""

    _fields_ = [
        ("labels", c_int32),
        ("space", c_int32),
        ("alpha", c_double),
        ("beta", c_double),
        ("most", c_double),
        *((name, c_void_p) for name in ("score", "target", "arrive", "ahead", "promise")),
    ]


class Character(ctypes.Structure):
    """What beam.c calls Character."""

    _fields_ = [("label", c_int32), ("begin", c_int32), ("end", c_int32), ("unused", c_int32), ("peak", c_double)]


_CHARACTERS = POINTER(POINTER(Character))
_SIGNATURES = {
    "beam_new": ([c_int32, c_double, c_double, c_int32], c_void_p),
    "beam_free": ([c_void_p], None),
    "beam_reset": ([c_void_p, c_int32, c_int32], c_int),
    "beam_run": ([c_void_p, POINTER(Guide), c_void_p, c_int32], c_int32),
    "beam_missing": ([c_void_p, POINTER(POINTER(c_int32))], c_int32),
    "beam_best": ([c_void_p, POINTER(Guide)], c_int32),
    "beam_characters": ([c_void_p, c_int32, _CHARACTERS], c_int32),
    "beam_settle": ([c_void_p, POINTER(Guide), _CHARACTERS], c_int32),
    "beam_size": ([c_void_p], c_int32),
    "beam_held": ([c_void_p], c_int32),
    "beam_copy": ([c_void_p, c_void_p, c_void_p], None),
    "beam_move": ([c_void_p, c_void_p], None),
    "beam_source": ([], c_char_p),
}


def source_hash() -> str:
    """SHA-256 of the source, hexadecimal; the library knows that of the source it was made from."""
    return hashlib.sha256(SOURCE.read_bytes()).hexdigest()


def load(path: Path = LIBRARY) -> ctypes.PyDLL:
    """Load the library.

    It keeps the interpreter's lock while it runs, a fraction of a millisecond, because streams share the tables it
    reads.

    Raises:
        OSError: it is missing, for another machine, or older than its source.
    """
    if not path.exists():
        raise OSError(f"{path.name} is not built")
    library = ctypes.PyDLL(str(path))
    for name, (arguments, result) in _SIGNATURES.items():
        function = getattr(library, name, None)
        if function is None:
            raise OSError(f"{path.name} is of another version: it has no {name}")
        function.argtypes, function.restype = arguments, result
    if SOURCE.exists() and library.beam_source().decode() != source_hash():
        raise OSError(f"{path.name} is older than {SOURCE.name}")
    return library


@cache
def _found() -> tuple[ctypes.PyDLL | None, str]:
    try:
        return load(), ""
    except OSError as error:
        return None, str(error)


def library() -> ctypes.PyDLL | None:
    """The library; None where numpy has to search."""
    return None if os.environ.get(SWITCH) == "numpy" else _found()[0]


def describe() -> str:
    """Which beam search serves and why, for `heyjetson doctor`."""
    if library():
        return "compiled"
    if os.environ.get(SWITCH) == "numpy":
        return f"numpy, as {SWITCH} says"
    return (
        f"numpy, 10 to 40 times slower than the compiled one ({_found()[1]}). "
        "Install the wheel of this platform, or build it with a C compiler: python -m heyjetson.decoding.core.build"
    )
