"""The wheel in environments of its own: with the oldest versions that it allows, and with the newest."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile

from tests.conftest import ROOT
from tests.heyjetson import trigger_fake

PROGRAM = Path(__file__).with_name("installs_program.py")
UV = Path(sys.executable).with_name("uv")
EXTRAS = ("cpu", "server")


def requirements() -> list[str]:
    """What pyproject.toml asks for, for the device and a server."""
    project = (ROOT / "pyproject.toml").read_text()
    lists = [re.search(r"^dependencies = \[(.*?)\]", project, re.MULTILINE | re.DOTALL)[1]]
    lists += [re.search(rf"^{name} = \[(.*?)\]", project, re.MULTILINE | re.DOTALL)[1] for name in EXTRAS]
    return re.findall(r'"([A-Za-z0-9-]+>=[\d.]+)"', "\n".join(lists))


def run(*command, cwd=None) -> str:
    environment = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "VIRTUAL_ENV")}
    done = subprocess.run(
        list(map(str, command)), cwd=cwd, env=environment, capture_output=True, text=True, timeout=280, check=False
    )
    said = (done.stderr + done.stdout).lower()
    if done.returncode and command[0] == UV and re.search("network|fetch|error sending request|dns|timed out", said):
        pytest.skip(f"packages cannot be fetched: {done.stderr.strip()[-200:]}")
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory) -> Path:
    """The wheel of this checkout."""
    if not UV.is_file():
        pytest.skip(f"{UV} is not there (make .venv/ready)")
    out = tmp_path_factory.mktemp("wheel")
    run(UV, "build", "--wheel", "--out-dir", out, ROOT)
    return next(out.glob("*.whl"))


def installed(wheel: Path, folder: Path, *options: str) -> Path:
    run(UV, "venv", "-p", sys.executable, folder)
    extras = f"{wheel}[{','.join(EXTRAS)}]"
    run(UV, "pip", "install", "-p", folder / "bin" / "python", *options, extras, *requirements())
    return folder / "bin" / "python"


def test_oldest_and_newest_write_alike(wheel, tmp_path):
    bundle = trigger_fake.make_speech(tmp_path / "tones").folder
    quiet = trigger_fake.quiet(1.0)
    recording = tmp_path / "a.wav"
    soundfile.write(recording, np.concatenate([quiet, trigger_fake.say("ab ba"), quiet]), trigger_fake.RATE)
    found = {}
    for name, options in {"oldest": ["--resolution", "lowest-direct"], "newest": []}.items():
        python = installed(wheel, tmp_path / name, *options)
        found[name] = json.loads(run(python, PROGRAM, bundle, recording, tmp_path / f"{name}-state", cwd=tmp_path))
    oldest, newest = found["oldest"], found["newest"]
    for requirement in requirements():
        package, lowest = requirement.split(">=")
        if package in oldest["versions"]:
            assert oldest["versions"][package].startswith(lowest)
            assert newest["versions"][package] != oldest["versions"][package]
    for one in (oldest, newest):
        assert one["whole"] == one["stream"] == one["served"] == "ab ba"
    assert np.allclose(oldest["frames"], newest["frames"], atol=1e-3)
    shutil.rmtree(tmp_path / "newest")


def test_removing_one_of_two_packages_is_told_and_the_cure_works(wheel, tmp_path):
    """The second package is onnxruntime's own wheel under the other's name: the same files, a tenth of the size."""
    python = installed(wheel, tmp_path / "env")
    packages = Path(run(python, "-c", "import onnxruntime; print(onnxruntime.__path__[0])").strip()).parent
    (record,) = packages.glob("onnxruntime-*.dist-info")
    other = packages / record.name.replace("onnxruntime-", "onnxruntime_gpu-")
    shutil.copytree(record, other)
    about = (other / "METADATA").read_text()
    (other / "METADATA").write_text(about.replace("Name: onnxruntime\n", "Name: onnxruntime-gpu\n", 1))
    doctor = [python.with_name("heyjetson"), "doctor"]
    assert "both installed" in " ".join(re.sub("[│┃]", " ", run(*doctor)).split())
    run(UV, "pip", "uninstall", "-p", python, "onnxruntime")
    done = subprocess.run(list(map(str, doctor)), capture_output=True, text=True, check=False)
    told = " ".join(re.sub("[│┃]", " ", done.stdout).split())
    assert done.returncode == 1 and "Traceback" not in done.stderr
    assert "pip uninstall -y onnxruntime onnxruntime-gpu && pip install onnxruntime-gpu" in told
    shutil.rmtree(other)
    run(UV, "pip", "install", "-p", python, "onnxruntime")
    assert "CPUExecutionProvider" in run(*doctor)
