"""The compiled beam search through ctypes. The wheel holds it built; in a checkout `python -m
heyjetson.decoding.core.build` builds it. Where it is missing or older than its sources, numpy searches instead.

search.h names what its files share: beam.c takes the frames, settle.c says what is settled, guide.c what a text may go
on with, ngram.c reads the language model, trie.c puts words in order, arpa.c
reads ARPA files."""

from __future__ import annotations

import ctypes
import hashlib
import os
from ctypes import POINTER, c_char_p, c_double, c_float, c_int, c_int32, c_int64, c_uint32, c_uint64, c_void_p
from functools import cache
from pathlib import Path

FOLDER = Path(__file__).parent
LIBRARY = FOLDER / "libbeam.so"
SWITCH = "HEYJETSON_DECODER"  # numpy: do without the compiled one
LONGEST = 6  # tokens of an n-gram


class Ngram(ctypes.Structure):
    """What search.h calls Ngram."""

    _fields_ = [
        ("order", c_int32),
        *((name, c_uint32) for name in ("words", "begin", "end")),
        ("unigram", c_void_p),
        ("vocabulary", c_void_p),
        ("table", c_void_p * (LONGEST - 1)),
        ("vocabulary_buckets", c_uint64),
        ("buckets", c_uint64 * (LONGEST - 1)),
    ]


class Context(ctypes.Structure):
    """What search.h calls Context."""

    _fields_ = [
        ("length", c_int32),
        ("begun", c_int32),
        ("words", c_uint32 * (LONGEST - 1)),
        ("backoff", c_float * (LONGEST - 1)),
    ]


class Trie(ctypes.Structure):
    """What search.h calls Trie."""

    _fields_ = [("nodes", c_int32), *((name, c_void_p) for name in ("first", "label", "word", "ahead"))]


class Guide(ctypes.Structure):
    """What search.h calls Guide."""

    _fields_ = [
        *((name, c_int32) for name in ("labels", "space", "lexicon", "hot", "hot_start", "pause")),
        *((name, c_double) for name in ("alpha", "beta", "most")),
        ("ngram", POINTER(Ngram)),
        ("words", Trie),
        ("extra", Trie),
        *((name, c_void_p) for name in ("tokens", "follow", "boost", "promise")),
    ]


class Character(ctypes.Structure):
    """What search.h calls Character."""

    _fields_ = [("label", c_int32), ("begin", c_int32), ("end", c_int32), ("unused", c_int32), ("peak", c_double)]


_CHARACTERS = POINTER(POINTER(Character))
_SIGNATURES = {
    "beam_new": ([c_int32, c_double, c_double, c_int32], c_void_p),
    "beam_free": ([c_void_p], None),
    "beam_reset": ([c_void_p, POINTER(Guide)], c_int),
    "beam_run": ([c_void_p, POINTER(Guide), c_void_p, c_int32], c_int),
    "beam_best": ([c_void_p, POINTER(Guide)], c_int32),
    "beam_characters": ([c_void_p, c_int32, _CHARACTERS], c_int32),
    "beam_settle": ([c_void_p, POINTER(Guide), _CHARACTERS], c_int32),
    "beam_size": ([c_void_p], c_int32),
    "beam_held": ([c_void_p], c_int32),
    "beam_copy": ([c_void_p, c_void_p, c_void_p], None),
    "beam_finish": ([c_void_p, POINTER(Guide), c_void_p], None),
    "beam_source": ([], c_char_p),
    "ngram_numbers": ([POINTER(Ngram), c_void_p, c_void_p, c_int64, c_void_p], None),
    "ngram_hashes": ([c_void_p, c_void_p, c_int64, c_void_p], None),
    "ngram_insert": ([c_void_p, c_uint64, c_int64, c_void_p, c_int64, c_void_p], c_int64),
    "trie_size": ([c_void_p, c_void_p, c_int64, c_void_p], c_int64),
    "trie_build": ([c_void_p, c_void_p, c_int64, c_void_p, c_void_p, c_void_p, c_int64, *[c_void_p] * 6], None),
    "arpa_lines": ([c_void_p, c_int64, c_int32, c_int64, POINTER(Ngram), c_void_p, c_void_p], c_int64),
    "ngram_start": ([POINTER(Ngram), POINTER(Context)], None),
    "ngram_scores": ([POINTER(Ngram), POINTER(Context), c_void_p, c_int64, c_void_p], None),
}


def source_hash(folder: Path = FOLDER) -> str:
    """SHA-256 of the sources, hexadecimal, as the library knows that of its own; "" where there are none."""
    sources = sorted(folder.glob("*.[ch]"))
    return hashlib.sha256(b"".join(path.read_bytes() for path in sources)).hexdigest() if sources else ""


def load(path: Path = LIBRARY, sources: Path = FOLDER) -> ctypes.PyDLL:
    """Load the library.

    It keeps the interpreter's lock while it runs, a fraction of a millisecond: to give it back and wait for it again
    would take longer where other threads run Python.

    Args:
        path: of the library.
        sources: their folder; where they are missing the library is taken as it is.

    Raises:
        OSError: it is missing, for another machine, or older than its sources.
    """
    if not path.exists():
        raise OSError(f"{path.name} is not built")
    library = ctypes.PyDLL(str(path))
    for name, (arguments, result) in _SIGNATURES.items():
        function = getattr(library, name, None)
        if function is None:
            raise OSError(f"{path.name} is of another version: it has no {name}")
        function.argtypes, function.restype = arguments, result
    made_from = library.beam_source().decode()
    if made_from != (source_hash(sources) or made_from):
        raise OSError(f"{path.name} is older than its sources")
    return library


@cache
def found() -> tuple[ctypes.PyDLL | None, str]:
    """The library, or why there is none."""
    try:
        return load(), ""
    except OSError as error:
        return None, str(error)


def loaded() -> ctypes.PyDLL:
    """The library, for those that are used only where it was found."""
    library, _ = found()
    assert library is not None
    return library


def library() -> ctypes.PyDLL | None:
    """The library; None where numpy has to search."""
    return None if os.environ.get(SWITCH) == "numpy" else found()[0]


def describe() -> str:
    """Which beam search serves and why, for `heyjetson doctor`."""
    if library():
        return "compiled"
    if os.environ.get(SWITCH) == "numpy":
        return f"numpy, as {SWITCH} says"
    return (
        f"numpy, 10 to 40 times slower than the compiled one ({found()[1]}). "
        "Install the wheel of this platform, or build it with a C compiler: python -m heyjetson.decoding.core.build"
    )
