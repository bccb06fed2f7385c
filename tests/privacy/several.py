"""Runs commands one after the other, each in a fork of a process that has imported NeMo: that takes longest of all.

python tests/privacy/several.py '["sweep.py", "count=1"]' '["export.py", "model=runs/*/*/model.nemo"]'

A `*` is as in a shell: for what an earlier command has made under a drawn name. What they start with their own
interpreter is forked as well, see `tests.warm`.
"""

import glob
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path


def filled(word: str) -> str:
    """A word with the one path that its pattern fits."""
    name, equals, pattern = word.rpartition("=")
    return f"{name}{equals}{next(iter(glob.glob(pattern)), pattern)}" if "*" in pattern else word


def main(commands: list[list[str]]) -> int:
    """The status of the first that does not end well, or 0."""
    sys.path[0] = os.getcwd()
    from tests.warm import python_in

    python = python_in(Path(tempfile.gettempdir()), os.getpid())
    for words in commands:
        print(f"{words[0]} begins at {time.time_ns()}", flush=True)
        if status := subprocess.run([python, *map(filled, words)]).returncode:
            return status
    return 0


if __name__ == "__main__":
    sys.exit(main([json.loads(words) for words in sys.argv[1:]]))
