"""The old name of `python -m experiments.tracking`, for one more version."""

from __future__ import annotations

import runpy
import sys

if __name__ == "__main__":
    print("python -m experiments.artifacts is now: python -m experiments.tracking", file=sys.stderr)
    runpy.run_module("experiments.tracking", run_name="__main__", alter_sys=True)
