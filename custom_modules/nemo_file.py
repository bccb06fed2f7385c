"""`.nemo` files: written beside their place and whole, their weights read without running what is in them."""

from __future__ import annotations

import pickle
import re
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from nemo.core.connectors.save_restore_connector import SaveRestoreConnector

from manifests.whole import whole_file

_FOREIGN = re.compile(r"GLOBAL (\S+)")  # as torch says it


class NemoFile(SaveRestoreConnector):
    """NeMo's connector, which makes the archive in TMPDIR and writes over the target."""

    def save_to(self, model: Any, save_path: str) -> None:
        """Write a model.

        Raises:
            NoRoomError: the disk is full; an earlier file is as it was.
        """
        path = Path(save_path)
        size = 2 * sum(tensor.numel() * tensor.element_size() for tensor in model.state_dict().values())
        with whole_file(path, size) as part, _temporaries_in(path.with_name(f"{path.name}.parts")):
            super().save_to(model, str(part))

    @staticmethod
    def _save_state_dict_to_disk(state_dict: dict[str, Any], filepath: str) -> None:
        with open(filepath, "wb") as file:  # torch's own writer does not say that the disk is full
            torch.save(state_dict, file)

    @staticmethod
    def _load_state_dict_from_disk(model_weights: str, map_location: Any = "cpu") -> dict[str, Any]:
        return torch.load(model_weights, map_location=map_location, weights_only=True)


@contextmanager
def _temporaries_in(folder: Path) -> Iterator[None]:
    """Within it temporary files are made in a folder, which is there only as long."""
    shutil.rmtree(folder, ignore_errors=True)  # of a process that was killed
    folder.mkdir()
    before, tempfile.tempdir = tempfile.tempdir, str(folder)
    try:
        yield
    finally:
        tempfile.tempdir = before
        shutil.rmtree(folder, ignore_errors=True)


def foreign(error: BaseException | None) -> str | None:
    """What a file of weights names that torch refuses to run; None where an error is about something else."""
    found = _FOREIGN.search(str(error)) if isinstance(error, pickle.UnpicklingError) else None
    return found[1] if found else None
