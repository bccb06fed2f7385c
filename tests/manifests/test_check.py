"""Every fault has its own sentence, and nothing is dropped without a count."""

import json

import numpy as np
import pytest
import soundfile

from manifests import ManifestError
from manifests.__main__ import main
from manifests.check import Requirements, check, frames_needed, require

RATE = 16000
LABELS = list(" abcdefghijklmnopqrstuvwxyz'")
NEEDS = Requirements(LABELS, shortest=0.025, longest=3.0, frames=lambda seconds: int(seconds * 25))


@pytest.fixture
def manifest(tmp_path):
    """Write a manifest of (samples or bytes, duration, text) and return its path."""

    def write(*rows):
        lines = []
        for number, (content, duration, text) in enumerate(rows):
            path = tmp_path / f"{number}.wav"
            if isinstance(content, bytes):
                path.write_bytes(content)
            elif content is not None:
                soundfile.write(path, content, RATE, subtype="FLOAT")
            lines.append(json.dumps({"audio_filepath": path.name, "duration": duration, "text": text}))
        (tmp_path / "m.jsonl").write_text("\n".join(lines))
        return tmp_path / "m.jsonl"

    return write


def noise(seconds: float) -> np.ndarray:
    return np.random.default_rng(0).standard_normal(round(seconds * RATE)).astype(np.float32) * 0.1


FAULTS = {
    "missing files": (None, 1.0, "hello"),
    "unreadable files": (b"RIFF but not really", 1.0, "hello"),
    "silent files": (np.zeros(RATE, np.float32), 1.0, "hello"),
    "too short files": (noise(0.02), 0.02, "a"),
    "too long files": (noise(4.0), 4.0, "hello"),
    "wrong durations": (noise(1.0), 2.0, "hello"),
    "transcripts with characters outside the labels": (noise(1.0), 1.0, "Größe 7"),
    "transcripts too long for their sound": (noise(0.4), 0.4, "far too much text"),
    "empty transcripts": (noise(1.0), 1.0, "  "),
    "transcripts with spaces too many": (noise(1.0), 1.0, "hello  there"),
}


@pytest.mark.parametrize("kind", FAULTS)
def test_each_fault_is_found(manifest, kind):
    path = manifest((noise(1.0), 1.0, "hello"), FAULTS[kind])
    report = check(path, NEEDS)
    assert dict(report.kinds) == {kind: 1}
    assert report.faults[0].startswith(f"{path}:2: ")
    assert [utterance.line for utterance in report.good] == [1]
    with pytest.raises(ManifestError, match=rf"1 of 2 utterances .* are bad \(1 {kind}\)"):
        require(report, "fail")
    require(report, "skip")


def test_strange_characters_are_listed(manifest):
    report = check(manifest((noise(1.0), 1.0, "Größe 7")), NEEDS)
    assert "'7' 'G' 'ß' 'ö'" in report.faults[0]
    with pytest.raises(ManifestError, match="No good utterance is left"):
        require(report, "skip")
    with pytest.raises(ManifestError, match="must be fail or skip"):
        require(report, "maybe")


@pytest.mark.parametrize("text", ["hello ", " hello", "hello  there"])
def test_spaces_that_a_model_would_learn_are_faults_that_fix_mends(manifest, text):
    """Each is a label of its own in training, which needs a frame."""
    assert frames_needed(text) > frames_needed(" ".join(text.split()))
    path = manifest((noise(1.0), 1.0, text))
    assert list(check(path, NEEDS).kinds) == ["transcripts with spaces too many"]
    out = path.with_name("fixed.jsonl")
    assert main(["check", str(path), "--fix", str(out)]) == 0
    assert json.loads(out.read_text())["text"] == " ".join(text.split())
    assert not check(out, NEEDS).faults


def test_a_constant_is_silence(manifest):
    assert dict(check(manifest((np.full(RATE, 0.3, np.float32), 1.0, "hello")), NEEDS).kinds) == {"silent files": 1}
    assert not check(manifest((noise(1.0) + np.float32(0.3), 1.0, "hello")), NEEDS).kinds


def test_samples_that_are_not_numbers(manifest):
    bad = noise(1.0)
    bad[5] = np.nan
    assert dict(check(manifest((bad, 1.0, "hello")), NEEDS).kinds) == {"unreadable files": 1}


def test_fast_trusts_the_durations(manifest):
    path = manifest((b"not sound", 1.0, "hello"), (None, 1.0, "hello"))
    report = check(path, Requirements(LABELS, decode=False))
    assert dict(report.kinds) == {"missing files": 1}


def test_frames_ctc_needs():
    assert frames_needed("") == 0
    assert frames_needed("three") == 6
    assert frames_needed("aaa") == 5


def test_recordings_no_decoder_reads(recordings, tmp_path, capsys):
    broken = sorted((recordings / "broken").glob("*.flac"))
    assert len(broken) == 10
    lines = [json.dumps({"audio_filepath": str(path), "duration": 3.0, "text": "alexa"}) for path in broken]
    (tmp_path / "m.jsonl").write_text("\n".join(lines))
    assert main(["check", str(tmp_path / "m.jsonl")]) == 1
    said = capsys.readouterr().out
    assert all(path.name in said for path in broken)
    assert "0 good utterances, 10 bad" in said
