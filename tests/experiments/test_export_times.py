"""Word times are measured where their borders are known, or not at all."""

import math
from types import SimpleNamespace

import numpy as np
import pytest
import soundfile

from experiments.errors import ConfigError
from experiments.export import times
from experiments.export.known_borders import beginnings, make_clips, matched, utterance_edges
from heyjetson.bundle import file_hash
from manifests import Utterance, read_manifest
from manifests.lines import write_manifest

RATE = 16000
ONSET, END = 0.16, 0.065  # seconds after which the model below writes a word's first and last letter


class Late:
    """A model that writes `a` a while after something loud began and `b` a while after it ended, sound permitting."""

    bundle = SimpleNamespace(
        labels=[" ", "a", "b"],
        blank_id=3,
        frame_seconds=0.04,
        sample_rate=RATE,
        streams=False,
        is_trigger=False,
        calibration=None,
        ahead=math.inf,
        manifest={"longest_seconds": 20.0},
    )

    def log_probs(self, samples):
        power = np.square(samples[0][: len(samples[0]) // 160 * 160]).reshape(-1, 160).mean(axis=1)
        loud = np.diff((power > 1e-4).astype(int), prepend=0, append=0)
        frames = -(-samples.shape[1] // 640)
        best = np.full(frames, 3)
        for begin, end in zip(np.flatnonzero(loud == 1) / 100, np.flatnonzero(loud == -1) / 100, strict=True):
            for second, label in ((begin + ONSET, 1), (end + END, 2), (end + END + 0.04, 0)):
                if second < frames * 0.04:
                    best[int(second / 0.04)] = label
        return np.log(np.eye(4, dtype=np.float32)[best] + 1e-4)[None], np.array([frames])


def spoken(folder, count: int, background: float = 0.0002):
    """A manifest of utterances of two words, and the seconds between which they lie."""
    rng = np.random.default_rng(3)
    utterances, spans = [], []
    for number in range(count):
        pieces = [rng.uniform(0.05, 0.3), rng.uniform(0.25, 0.5), rng.uniform(0.3, 0.5), rng.uniform(0.25, 0.5), 0.1]
        level = np.concatenate(
            [np.full(round(length * RATE), 0.1 if turn % 2 else background) for turn, length in enumerate(pieces)]
        )
        soundfile.write(folder / f"{number}.wav", level * rng.standard_normal(len(level)), RATE, subtype="FLOAT")
        utterances.append(Utterance(folder / f"{number}.wav", len(level) / RATE, "ab ab"))
        spans.append((pieces[0], sum(pieces[:4])))
    write_manifest(folder / "validation.jsonl", utterances)
    return folder / "validation.jsonl", spans


@pytest.fixture
def late(monkeypatch):
    monkeypatch.setattr(times, "Bundle", lambda folder: Late.bundle)
    monkeypatch.setattr(times, "Engine", lambda bundle: Late())


def test_what_is_known_is_where_it_is(tmp_path):
    manifest, spans = spoken(tmp_path, 4)
    for utterance, (begin, end) in zip(read_manifest(manifest), spans, strict=True):
        samples = soundfile.read(utterance.audio, dtype="float32")[0]
        assert utterance_edges(samples, RATE)[:2] == pytest.approx((begin, end), abs=0.006)
    clips = make_clips(read_manifest(manifest), RATE, 20.0, 100.0)
    assert [len(clip.text.split()) for clip in clips] == [4, 4]
    for clip in clips:
        level = np.abs(clip.samples)
        for second in [second for _, second in clip.starts + clip.ends]:
            sides = [level[round((second + way * 0.02) * RATE) + np.arange(-80, 80)].mean() for way in (-1, 1)]
            assert max(sides) > 30 * min(sides)
        cut = beginnings(clip, RATE)
        assert [part.text for part in cut] == ["ab ab", "ab ab ab ab"]
        assert len(cut[1].samples) == round(clip.ends[1][1] * RATE)


def test_the_shift_and_the_quiet_are_found(late, tmp_path):
    manifest, _ = spoken(tmp_path, 24)
    found = times.calibrate(tmp_path, manifest)
    assert found.start == pytest.approx(-ONSET + 0.02, abs=0.025)  # to the beginning of the frame
    assert found.end == pytest.approx(-END + 0.02, abs=0.025)
    measured = found.measured
    assert measured["words"] == 24 and measured["manifest"] == "validation.jsonl"
    assert all(abs(value) < 0.02 for name in ("start_error", "end_error") for value in measured[name].values())
    assert (found.quiet, found.level) == (0.2, -70.0)
    assert measured["quiet"]["last_word_wrong"] == measured["quiet"]["wer"] == 0.0


@pytest.mark.parametrize(("count", "background"), [(6, 0.0002), (24, 0.02)])
def test_too_little_is_known(late, tmp_path, count, background):
    """Too few utterances, or words that do not stand out of the noise: times stay raw."""
    manifest = spoken(tmp_path, count, background)[0]
    assert times.calibrate(tmp_path, manifest) is None
    assert f"Of {manifest} too few words were understood" in times.sentence(tmp_path, manifest)


def test_words_are_matched_from_either_end():
    assert matched("a b c".split(), "a b c".split()) == {0: 0, 1: 1, 2: 2}
    assert matched("a b c d".split(), "a x d".split()) == {0: 0, 3: 2}
    assert matched("a b".split(), []) == {}


def test_the_validation_of_the_run_is_taken_while_it_is_the_same(tmp_path):
    manifest, _ = spoken(tmp_path, 1)
    nemo = tmp_path / "model.nemo"
    record = {"data": {"validation": file_hash(manifest)}}
    assert times.chosen("auto", nemo, record) is None
    (tmp_path / "config.yaml").write_text(f"data:\n  validation: {manifest}\n")
    assert times.chosen("auto", nemo, record) == manifest
    assert times.chosen("none", nemo, record) is times.chosen("auto", nemo, {}) is None
    assert times.chosen(str(manifest), nemo, {}) == manifest
    manifest.write_text(manifest.read_text() + "\n")
    assert times.chosen("auto", nemo, record) is None
    with pytest.raises(ConfigError, match="is no manifest"):
        times.chosen(str(tmp_path / "none.jsonl"), nemo, record)


def test_what_was_left_of_a_validation_with_bad_lines_is_taken(tmp_path):
    """data.on_bad_sample=skip: the weights were chosen by what lies in the run's folder."""
    (tmp_path / "validation.jsonl").write_text("all of it\n")
    (tmp_path / "config.yaml").write_text(f"data: {{validation: {tmp_path / 'validation.jsonl'}}}\n")
    kept = tmp_path / "validation.checked.jsonl"
    kept.write_text("what is good\n")
    record = {"data": {"validation": file_hash(kept)}}
    assert times.chosen("auto", tmp_path / "model.nemo", record) == kept
