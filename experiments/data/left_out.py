"""Recordings that cannot be read any more when training has begun: left out of their batches, and listed."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path

LEFT_OUT = "left_out.jsonl"


@dataclass(frozen=True)
class LeftOut:
    """The list of them, a file that all processes of a run append to.

    Args:
        path: of the file.
    """

    path: Path

    def add(self, utterance: str, cause: str) -> None:
        """List an utterance, once.

        Args:
            utterance: recording and line.
            cause: why it cannot be read.
        """
        if utterance in self.read():
            return
        recording = utterance.rpartition(" (line ")[0]
        if recording and cause.startswith(recording):
            cause = "it" + cause[len(recording) :]
        line = json.dumps({"utterance": utterance, "cause": cause}) + "\n"
        handle = os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
        try:
            os.write(handle, line.encode())  # at once: no other process writes in between
        finally:
            os.close(handle)

    def size(self) -> int:
        """Bytes of the file; it has grown when more are listed."""
        try:
            return self.path.stat().st_size
        except FileNotFoundError:
            return 0

    def read(self) -> dict[str, str]:
        """Utterances in the order they were listed in, and why."""
        try:
            lines = self.path.read_text(encoding="utf-8").splitlines(keepends=True)
        except FileNotFoundError:
            return {}
        found = [json.loads(line) for line in lines if line.endswith("\n")]  # the last may be on its way
        return {one["utterance"]: one["cause"] for one in found}
