"""Trains as train.py does, then exports as export.py does: in one process, since NeMo takes long to import.

python tests/privacy/train_and_export.py RUNS BUNDLE OVERRIDE...
"""

import runpy
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def run(program: str, *arguments: str) -> None:
    """Run a program of the project's as its user does."""
    sys.argv = [program, *arguments]
    runpy.run_path(str(ROOT / program), run_name="__main__")


def main(runs: str, bundle: str, *overrides: str) -> None:
    """Train, and export what came of it."""
    run("train.py", *overrides)
    (model,) = Path(runs).glob("*/*/model.nemo")
    run("export.py", f"model={model}", f"out={bundle}")


if __name__ == "__main__":
    sys.path.insert(0, str(ROOT))
    main(*sys.argv[1:])
