"""What a bundle costs on the device: real-time factor on one core, start-up time, memory.

    python benchmarks/device.py                              # encoders of conf/ with drawn weights
    python benchmarks/device.py --bundle bundles/synthetic   # a bundle of one's own

Prints the rows of benchmarks/RESULTS.md.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

START = """
import re, sys, time
started = time.perf_counter()
from heyjetson import Bundle, Engine
engine = Engine(Bundle(sys.argv[1]))
loaded = time.perf_counter() - started
def peak():  # ru_maxrss would begin with the peak of the process that forked this one
    return int(re.search(r"VmHWM:\\s+(\\d+)", open("/proc/self/status").read())[1]) / 1024
before = peak()
import numpy
engine.transcribe(numpy.zeros(16000 * 3, numpy.float32), 16000)
after = peak()
print(loaded, time.perf_counter() - started, before, after, 'torch' in sys.modules)
"""


def real_time_factor(bundle: Path, seconds: float, repeats: int) -> float:
    """Median time of the graph on a clip, over the clip's length, one thread."""
    from heyjetson import Bundle, Engine

    engine = Engine(Bundle(bundle), threads=1)
    clip = np.random.default_rng(0).standard_normal((1, int(seconds * engine.bundle.sample_rate))).astype(np.float32)
    engine.log_probs(clip)
    times = []
    for _ in range(repeats):
        started = time.perf_counter()
        engine.log_probs(clip)
        times.append(time.perf_counter() - started)
    return statistics.median(times) / seconds


def start_up(bundle: Path) -> tuple[float, float, float, float]:
    """Seconds to import and load, seconds to the first result, MB after loading, MB after a 3 s clip; best of five."""
    runs = []
    for _ in range(5):
        command = [sys.executable, "-c", START, str(bundle.absolute())]
        done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=ROOT)
        *figures, torch = done.stdout.split()
        assert torch == "False", "the device side imported torch"
        runs.append(tuple(map(float, figures)))
    return min(runs)


def drawn_bundles(folder: Path) -> dict[str, Path]:
    """Bundles of the project's encoders with drawn weights."""
    from hydra import compose, initialize_config_dir

    from experiments.entry import CONF
    from experiments.export.bundle import ExportOptions, export_bundle
    from experiments.hush import hush
    from experiments.training import model_config

    hush()
    from custom_modules.model import SpeechModel

    bundles = {}
    for name in ("hey_jetson", "hey_jetson_small", "nemo_jasper_4x1", "nemo_quartznet"):
        for frontend in ("log_mel", "log_spectrogram"):
            with initialize_config_dir(str(CONF), version_base="1.3"):
                cfg = compose("train", [f"encoder={name}", f"frontend={frontend}"])
            model = SpeechModel(model_config(cfg)).eval()
            nemo = folder / "drawn.nemo"
            model.save_to(str(nemo))
            bundles[f"{name}, {frontend}"] = folder / f"{name}-{frontend}"
            export_bundle(model, nemo, bundles[f"{name}, {frontend}"], ExportOptions(seconds=[1.0], batch_sizes=[1]))
    return bundles


def main() -> None:
    """Measure and print a Markdown table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bundle", type=Path, help="measure this bundle only")
    parser.add_argument("--repeats", type=int, default=15, help="runs a figure is the median of (default 15)")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        bundles = {str(given.bundle): given.bundle} if given.bundle else drawn_bundles(Path(temporary))
        print("| bundle | MB | RTF, 3 s clip | RTF, 10 s clip | load, s | first result, s | MB loaded | MB after 3 s |")
        print("|---|---|---|---|---|---|---|---|")
        for name, bundle in bundles.items():
            size = (bundle / "model.onnx").stat().st_size / 1e6
            short, long = (real_time_factor(bundle, seconds, given.repeats) for seconds in (3.0, 10.0))
            loaded, first, before, after = start_up(bundle)
            print(
                f"| {name} | {size:.1f} | {short:.4f} | {long:.4f} | {loaded:.2f} | {first:.2f} | {before:.0f} | "
                f"{after:.0f} |",
                flush=True,
            )


if __name__ == "__main__":
    main()
