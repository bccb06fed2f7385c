"""The old name of `python -m experiments.cli.preview`, for one more version."""

from __future__ import annotations

import runpy
import sys

if __name__ == "__main__":
    print("python -m experiments.preview is now: python -m experiments.cli.preview", file=sys.stderr)
    runpy.run_module("experiments.cli.preview", run_name="__main__", alter_sys=True)
