"""Engines kept on disk. An engine fits one graph, one TensorRT, one GPU and one set of flags; a JSON file beside it
says which, and its hash, so that what does not fit is built again and what is damaged is not run."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from heyjetson.bundle import Bundle, file_hash
from heyjetson.tensorrt.errors import TensorRTError
from heyjetson.tensorrt.plan import PRECISIONS
from heyjetson.user_cache import user_cache

FOLDER = "tensorrt"
WORDS = {"graph": "the graph", "tensorrt": "TensorRT", "gpu": "the GPU", "flags": "the flags"}


@dataclass(frozen=True)
class Key:
    """What an engine fits.

    Args:
        graph: SHA-256 of the ONNX file.
        tensorrt: version.
        gpu: name and compute capability.
        flags: of the build.
    """

    graph: str
    tensorrt: str
    gpu: str
    flags: tuple[str, ...] = ()


def writable(folder: Path) -> bool:
    """Whether files can be made in a folder, itself made where it is missing (`os.access` errs on read-only mounts)."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        probe = folder / f".probe-{os.getpid()}"
        probe.touch()
        probe.unlink()
    except OSError:
        return False
    return True


def places(bundle: Bundle) -> list[Path]:
    """Where engines of a bundle may lie: beside it, then in the user's cache, by the hash of its graph."""
    name = f"{bundle.folder.resolve().name}-{graph_hash(bundle)[:12]}"
    return [bundle.folder / FOLDER, user_cache() / FOLDER / name]


def has_engine(bundle: Bundle) -> bool:
    """Whether there is an engine of a bundle, of whatever machine."""
    return any(True for folder in places(bundle) for _ in folder.glob("*.engine"))


def graph_hash(bundle: Bundle) -> str:
    """SHA-256 of the bundle's graph, which reading the bundle has checked."""
    graph = bundle.graph
    entry = bundle.manifest["files"].get(graph.name)
    return entry["sha256"] if entry else file_hash(graph)


def folder_to_write(bundle: Bundle) -> Path:
    """The first place that can be written to.

    Raises:
        TensorRTError: there is none.
    """
    for folder in places(bundle):
        if writable(folder):
            return folder
    raise TensorRTError(
        f"Neither {bundle.folder} nor {user_cache()} can be written to, so the engine has no place. "
        "Set XDG_CACHE_HOME to a folder that can."
    )


def engine_path(folder: Path, graph: Path, precision: str) -> Path:
    """Where an engine lies: one for each precision, so that trying another length does not pile up files."""
    return folder / f"{graph.stem}.{precision}.engine"


def _sidecar(engine: Path) -> Path:
    return engine.with_suffix(".json")


def read_record(engine: Path) -> dict[str, Any]:
    """What the JSON file beside an engine says.

    Raises:
        TensorRTError: the engine is not whole: its own file, its JSON file or its hash is wrong.
    """
    again = "Build it again with `heyjetson build-engine`."
    if not engine.is_file():
        raise TensorRTError(f"There is no engine {engine}. {again}")
    try:
        record = json.loads(_sidecar(engine).read_text(encoding="utf-8"))
        key = Key(record["graph"], record["tensorrt"], record["gpu"], tuple(record["flags"]))
        wanted = record["engine_sha256"]
    except (OSError, ValueError, KeyError, TypeError):
        raise TensorRTError(
            f"{_sidecar(engine)}, which says what {engine.name} fits, cannot be read. {again}"
        ) from None
    if file_hash(engine) != wanted:
        raise TensorRTError(f"{engine} does not match the hash in {_sidecar(engine).name}: it is damaged. {again}")
    return {**record, "key": key}


def difference(found: Key, wanted: Key, with_flags: bool = True) -> str:
    """In words, in what an engine differs from what is wanted; empty where it fits.

    >>> difference(Key("a", "10.3.0", "Orin"), Key("a", "10.7.0", "Orin"))
    'TensorRT was 10.3.0 and is 10.7.0'
    """
    parts = []
    for name, word in WORDS.items():
        before, now = getattr(found, name), getattr(wanted, name)
        if before == now or (name == "flags" and not with_flags):
            continue
        if name == "graph":
            parts.append("the graph has changed")
        elif name == "flags":
            changed = [flag for flag in now if flag not in before] or [
                f"no {flag}" for flag in before if flag not in now
            ]
            parts.append(f"the flags have changed ({' '.join(changed) or 'their order'})")
        else:
            parts.append(f"{word} was {before} and is {now}")
    return "; ".join(parts)


def find(engine: Path, key: Key) -> str:
    """Why an engine cannot be used as it is; empty where it can.

    Args:
        engine: file.
        key: what it must fit.
    """
    if not engine.is_file() and not _sidecar(engine).is_file():
        return "there is none yet"
    try:
        record = read_record(engine)
    except TensorRTError as error:
        return str(error).rpartition(" Build it again")[0].rstrip(".")
    return difference(record["key"], key)


def store(data: bytes | Path, engine: Path, key: Key, details: Mapping[str, Any]) -> None:
    """Put an engine and its JSON file in place; an interruption leaves the old pair or a pair that is seen as damaged.

    Args:
        data: the engine, or a file that holds it and is moved.
        engine: where to.
        key: what it fits.
        details: more to note.

    Raises:
        TensorRTError: the disk is full or read-only.
    """
    try:
        if isinstance(data, Path):
            fresh = data
        else:
            fresh = engine.with_suffix(".part")
            fresh.write_bytes(data)
        record = {
            **asdict(key),
            "engine_sha256": file_hash(fresh),
            "bytes": fresh.stat().st_size,
            "built": time.strftime("%Y-%m-%d %H:%M:%S"),
            **details,
        }
        fresh.replace(engine)
        note = _sidecar(engine).with_suffix(".json.part")
        note.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
        note.replace(_sidecar(engine))
    except OSError as error:
        raise TensorRTError(f"The engine cannot be written to {engine} ({error}). Free disk space there.") from None


def usable(bundle: Bundle, tensorrt: str, gpu: str, report: Callable[[str], None]) -> Path | None:
    """The newest engine of a bundle that fits this machine, whatever flags it was built with.

    Args:
        bundle: whose engine.
        tensorrt: version at hand.
        gpu: at hand.
        report: gets a sentence for each engine that does not fit.
    """
    wanted = Key(graph_hash(bundle), tensorrt, gpu)
    fitting: list[tuple[float, Path]] = []
    for folder in places(bundle):
        for precision in PRECISIONS:
            engine = engine_path(folder, bundle.graph, precision)
            if not engine.is_file():
                continue
            try:
                reason = difference(read_record(engine)["key"], wanted, with_flags=False)
            except TensorRTError as error:
                report(str(error))
                continue
            if reason:
                report(f"{engine} is not used: {reason}. Build it again with `heyjetson build-engine {bundle.folder}`.")
            else:
                fitting.append((engine.stat().st_mtime, engine))
    return max(fitting)[1] if fitting else None
