"""A program for sweeps to run that ends as its `mode` says, the first `times` times it is started."""

import json
import os
import signal
import sys
from pathlib import Path


def main(arguments: list[str]) -> None:
    """Log a value at each start, unless `mute`; die as long as there were fewer starts than `times`."""
    given = dict(argument.split("=", 1) for argument in arguments)
    folder, mode = Path(os.environ["HEYJETSON_TRIAL"]), given.get("mode", "good")
    starts = folder / "starts"
    begun = len(starts.read_text()) if starts.exists() else 0
    starts.write_text("." * (begun + 1))
    if begun >= int(given.get("times", 99)):
        mode = "good"
    step = begun if given.get("advance") else 0
    if mode == "good" or given.get("advance") or given.get("early"):
        with (folder / "history.jsonl").open("a") as file:
            file.write(json.dumps({"step": step, "val_wer": abs(float(given["optim.lr"]) - 0.3)}) + "\n")
    if mode == "memory":
        raise MemoryError
    if mode == "disk":
        raise OSError(28, "No space left on device", "last.ckpt")
    if mode == "status":
        sys.exit(int(given["status"]))
    if mode.startswith("SIG"):
        os.kill(os.getpid(), getattr(signal, mode))
    (folder / "metrics.json").write_text(json.dumps({"test": {"words": {"wer": 0.25}}}))


if __name__ == "__main__":
    main(sys.argv[1:])
