"""What tests need not do again and again: compose the same configuration, search the same heap, make the same files."""

from __future__ import annotations

import fcntl
import functools
import gc
import os
import pickle
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from hydra._internal.config_loader_impl import ConfigLoaderImpl
from hydra._internal.core_plugins.file_config_source import FileConfigSource

frozen = 0  # modules whose objects are


def compose_once() -> None:
    """Have Hydra parse each state of a file once in this process, and compose the same overrides of it once.

    Half of what a training of one step takes is this. Callers get copies: what is composed is changed.
    """
    FileConfigSource.load_config = _kept(FileConfigSource.load_config, _state_of_file)
    ConfigLoaderImpl.load_configuration = _kept(ConfigLoaderImpl.load_configuration, _state_of_folders)


def _kept(method: Any, state: Any) -> Any:
    kept: dict[Any, bytes] = {}

    @functools.wraps(method)
    def called(self: Any, *arguments: Any, **named: Any) -> Any:
        shared = sorted((name, value) for name, value in named.items() if name != "from_shell")  # of messages alone
        key = pickle.dumps((state(self, *arguments, **named), arguments, shared))
        if key not in kept:
            found = method(self, *arguments, **named)
            try:
                kept[key] = pickle.dumps(found, pickle.HIGHEST_PROTOCOL)
            except pickle.PicklingError:  # a plugin's schema, of a class that was imported twice
                return found
        return pickle.loads(kept[key])

    return called


def _state_of_file(source: FileConfigSource, config_path: str) -> object:
    return source.path, _states([Path(source.path, source._normalize_file_name(config_path))])


def _state_of_folders(loader: ConfigLoaderImpl, *_: object, **__: object) -> object:
    folders = [each.path for each in loader.config_search_path.get_path()]
    files = [Path(folder.removeprefix("file://")).rglob("*.yaml") for folder in folders if folder.startswith("file:")]
    return os.getcwd(), folders, [_states(sorted(each)) for each in files]


def _states(files: list[Path]) -> list[tuple[str, int, int]]:
    found = [(str(path), os.stat(path)) for path in files if path.exists()]
    return [(path, state.st_mtime_ns, state.st_size) for path, state in found]


def freeze_libraries() -> None:
    """Leave what imports made out of garbage collection: to go through NeMo's part of the heap takes half a second."""
    global frozen
    if len(sys.modules) > frozen + 200:
        gc.collect()
        gc.freeze()
        frozen = len(sys.modules)


def made_once(shared: Path, name: str, own: Path, make: Callable[[Path], object]) -> Path:
    """A folder that the first of all test processes makes, as a copy: tests may change what they have.

    Args:
        shared: the folder of all.
        name: of what is made.
        own: where the copy goes, not there yet.
        make: is given the path at which to make it, not there yet either.
    """
    made, begun = shared / name, shared / f"{name}.begun"
    with (shared / f"{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not made.exists():
            shutil.rmtree(begun, ignore_errors=True)  # of one that failed
            make(begun)
            begun.rename(made)
    return Path(shutil.copytree(made, own))
