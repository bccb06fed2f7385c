"""Runs commands one after the other, each in a fork of this process, where NeMo is imported: that takes longest of all.

python tests/privacy/several.py '["train.py", "resume=last"]' '["-m", "experiments.cli.preview", "out=preview"]'
"""

import json
import os
import runpy
import sys


def main(commands: list[list[str]]) -> int:
    """The status of the first that does not end well, or 0."""
    sys.path[0] = os.getcwd()
    import custom_modules.model  # noqa: F401  (NeMo, with what the package sets before)

    for words in commands:
        sys.stdout.flush()
        child = os.fork()
        if not child:
            module = words[0] == "-m"
            sys.argv = words[1:] if module else words
            if module:
                runpy.run_module(words[1], run_name="__main__", alter_sys=True)
            else:
                runpy.run_path(words[0], run_name="__main__")
            return 0
        if status := os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]):
            return status
    return 0


if __name__ == "__main__":
    sys.exit(main([json.loads(words) for words in sys.argv[1:]]))
