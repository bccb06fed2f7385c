"""A bundle is whole or refused; the device needs neither torch nor NeMo."""

import contextlib
import json
import shutil
import subprocess
import sys

import numpy as np
import pytest
import soundfile
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from heyjetson import AudioError, Bundle, BundleError, Engine
from heyjetson.cli import main
from tests.conftest import ROOT


@pytest.fixture
def copy(bundle, tmp_path):
    return shutil.copytree(bundle, tmp_path / "copy")


def edit(folder, **changes):
    path = folder / "manifest.json"
    manifest = json.loads(path.read_text())
    manifest.update(changes)
    path.write_text(json.dumps({key: value for key, value in manifest.items() if value is not None}))


def test_a_bundle_describes_itself(bundle):
    loaded = Bundle(bundle)
    assert loaded.sample_rate == 16000
    assert len(loaded.labels) == loaded.blank_id == 28
    assert loaded.frame_seconds == pytest.approx(0.04)
    import onnx

    props = {prop.key: prop.value for prop in onnx.load(loaded.graph).metadata_props}
    assert json.loads(props["labels"]) == loaded.labels
    assert json.loads(props["subsampling_factor"]) == 4


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"format": 99}, "reads up to 1. Upgrade"),
        ({"format": None}, "names no format"),
        ({"labels": None}, "key 'labels' is missing"),
        ({"sample_rate": "fast"}, "key 'sample_rate' is missing or of the wrong type"),
        ({"files": {"../secret": {"sha256": ""}}}, "outside the bundle"),
        ({"files": {"other.onnx": {"sha256": ""}}}, "lacks other.onnx"),
        ({"graph": ""}, "graph names no file"),
    ],
)
def test_a_bad_manifest_is_refused(copy, changes, message):
    edit(copy, **changes)
    with pytest.raises(BundleError, match=message):
        Bundle(copy)


def test_a_changed_graph_is_refused(copy, capsys):
    with (copy / "model.onnx").open("r+b") as file:
        file.seek(2000)
        file.write(b"\x00\x01\x02")
    with pytest.raises(BundleError, match="does not match the hash"):
        Bundle(copy)
    assert main(["transcribe", str(copy), "x.wav"]) == 1
    assert "does not match the hash" in capsys.readouterr().err


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=40)
@given(position=st.floats(0, 1), junk=st.binary(min_size=1, max_size=8))
def test_damaged_manifests_never_crash(copy, bundle, position, junk):
    good = (bundle / "manifest.json").read_bytes()
    at = int(position * len(good))
    (copy / "manifest.json").write_bytes(good[:at] + junk + good[at + len(junk) :])
    with contextlib.suppress(BundleError):
        Engine(Bundle(copy))


# Rooms of the device that the workstation uses too.
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 10**6) | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)


@pytest.mark.parametrize("kind", ["bundle", "streaming_bundle"])
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_a_manifest_with_other_values_is_refused_or_runs(kind, request, tmp_path_factory, data):
    """Any value put in the place of any other: a `BundleError`, or an engine that transcribes."""
    original = request.getfixturevalue(kind)
    folder = tmp_path_factory.mktemp("fuzz")
    manifest = json.loads((original / "manifest.json").read_text())
    place = manifest
    key = data.draw(st.sampled_from(sorted(manifest)))
    if key == "states" and data.draw(st.booleans()):
        place = manifest["states"][data.draw(st.integers(0, len(manifest["states"]) - 1))]
        key = data.draw(st.sampled_from(sorted(place)))
    place[key] = data.draw(VALUES)
    for name in original.iterdir():
        if name.name != "manifest.json":
            (folder / name.name).symlink_to(name)
    (folder / "manifest.json").write_text(json.dumps(manifest))
    with contextlib.suppress(BundleError, AudioError):
        Engine(Bundle(folder)).transcribe(np.zeros(8000, np.float32), 16000)


def test_no_bundle_at_all(tmp_path):
    with pytest.raises(BundleError, match="not a bundle"):
        Bundle(tmp_path)
    (tmp_path / "manifest.json").write_text("{")
    with pytest.raises(BundleError, match="cannot be read"):
        Bundle(tmp_path)


def test_short_and_long_recordings(bundle):
    engine = Engine(Bundle(bundle))
    with pytest.raises(AudioError, match="less than one frame"):
        engine.transcribe(np.zeros(100, np.float32), 16000)
    engine.bundle.manifest["longest_seconds"] = 2.0
    noise = np.random.default_rng(0).standard_normal(16000 * 7) * 0.1
    assert engine.transcribe(noise, 16000).seconds == 7.0
    decoder = engine.decoder()
    stretches = list(engine.heard(noise.astype(np.float32), decoder))
    assert len(stretches) > 3
    decoder.finish()
    together = np.concatenate([log_probs for _, log_probs, _ in stretches])
    engine.bundle.manifest["longest_seconds"] = 20.0
    ((first, whole, _),) = engine.heard(noise.astype(np.float32), decoder)  # which begins anew
    assert first == 0
    alone = engine.decoder()
    alone.reset()
    alone.feed(whole)
    assert decoder.finish()[0].text == alone.finish()[0].text
    assert list(engine.heard(np.zeros(100, np.float32), decoder)) == []
    assert decoder.finish()[0].text == ""
    assert together.shape == whole.shape
    assert engine.transcribe(np.zeros((48000, 6), np.int16), 48000).seconds == pytest.approx(1.0)


def test_the_command_line(bundle, corpus, tmp_path, capsys):
    wav = next(corpus.rglob("*.wav"))
    assert main(["transcribe", str(bundle), str(wav), "--format", "json"]) == 0
    record = json.loads(capsys.readouterr().out)
    assert record["file"] == str(wav)
    assert {"text", "words", "seconds"} <= set(record)
    soundfile.write(tmp_path / "short.wav", np.zeros(10), 16000)
    assert main(["transcribe", str(bundle), str(tmp_path / "short.wav"), str(wav)]) == 1
    said = capsys.readouterr()
    assert "less than one frame" in said.err
    assert "1 of 2 files" in said.err
    assert said.out.startswith(f"{wav}\t")
    assert main(["info", str(bundle)]) == 0
    assert "ctc" in capsys.readouterr().out


def test_the_device_side_imports_nothing_heavy(bundle, corpus):
    """A fresh interpreter that transcribes a clip has loaded neither torch nor NeMo nor librosa."""
    wav = next(corpus.rglob("*.wav"))
    code = (
        "import sys; from heyjetson import Bundle, Engine; "
        f"Engine(Bundle({str(bundle)!r})).transcribe_file({str(wav)!r}); "
        "print([name for name in ('torch', 'nemo', 'librosa', 'lightning', 'custom_modules', 'experiments') "
        "if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize("seconds", [0.03125, 1e304])
def test_a_length_nobody_can_cut_to_is_refused(copy, seconds):
    manifest = json.loads((copy / "manifest.json").read_text())
    (copy / "manifest.json").write_text(json.dumps(manifest | {"longest_seconds": seconds}))
    with pytest.raises(BundleError, match="longest_seconds must lie between"):
        Bundle(copy)
