"""Hearing and seeing augmentation: the files are there, the same from the same seed, and show what was done."""

import numpy as np
import pytest
import soundfile

from experiments.cli.preview import _kept, preview
from experiments.errors import ConfigError
from manifests import ManifestError, read_manifest


@pytest.fixture
def composed(compose_config):
    def configuration(*overrides: str):
        return compose_config(*overrides, name="preview")

    return configuration


def test_before_after_and_a_picture_of_each(composed, corpus, tmp_path):
    from matplotlib.image import imread

    pictures = preview(composed("augment=full"), corpus / "test.jsonl", tmp_path, 2, 1)
    assert [path.name for path in pictures] == ["01.png", "02.png"]
    assert len(list(tmp_path.iterdir())) == 6
    for number, utterance in enumerate(read_manifest(corpus / "test.jsonl")[:2], 1):
        source = soundfile.read(utterance.audio)[0]
        before, rate = soundfile.read(tmp_path / f"{number:02d}-before.wav")
        np.testing.assert_allclose(before, source, atol=2e-4)
        header = soundfile.info(tmp_path / f"{number:02d}-after.wav")
        assert (header.samplerate, header.subtype, header.channels) == (rate, "PCM_16", 1)
        silence = 1.2 * rate
        assert len(before) / 1.16 < header.frames < (len(before) + silence) / 0.84
        assert imread(pictures[number - 1]).shape == (600, 1000, 4)


def test_the_same_seed_gives_the_same_sound(composed, corpus, tmp_path):
    cfg = composed("augment=noisy")
    for name, count, seed in (("a", 1, 1), ("b", 2, 1), ("c", 1, 2)):
        preview(cfg, corpus / "test.jsonl", tmp_path / name, count, seed)
    sounds = {name: (tmp_path / name / "01-after.wav").read_bytes() for name in "abc"}
    assert sounds["a"] == sounds["b"] != sounds["c"]


def test_what_is_off_leaves_the_sound_alone(composed, corpus, tmp_path):
    preview(composed("augment=spec"), corpus / "test.jsonl", tmp_path, 1, 1)
    assert (tmp_path / "01-before.wav").read_bytes() == (tmp_path / "01-after.wav").read_bytes()


def test_masks_are_those_of_specaugment():
    from nemo.collections.asr.modules import SpectrogramAugmentation

    features = np.zeros((64, 200), np.float32)
    assert _kept(None, features).all()
    kept = _kept(SpectrogramAugmentation(freq_masks=2, freq_width=15, time_masks=2, time_width=0.1), features)
    assert 0 < (~kept).mean() < 0.8
    rows, columns = kept.any(1), kept.any(0)  # bands and stretches only
    np.testing.assert_array_equal(kept, rows[:, None] & columns)


def test_errors_are_sentences(composed, corpus, tmp_path):
    manifest = corpus / "test.jsonl"
    with pytest.raises(ConfigError, match="changes nothing"):
        preview(composed("augment=none"), manifest, tmp_path, 1, 1)
    with pytest.raises(ConfigError, match="count must be at least 1"):
        preview(composed(), manifest, tmp_path, 0, 1)
    with pytest.raises(ConfigError, match=r"cannot be built: augment\.waveform\.speed must be"):
        preview(composed("augment.waveform.speed=0.9"), manifest, tmp_path, 1, 1)
    with pytest.raises(ConfigError, match=r"cannot be built: augment\.silence\.tone must be between 0 and 1"):
        preview(composed("augment.silence.tone=2"), manifest, tmp_path, 1, 1)
    with pytest.raises(ConfigError, match="cannot be built: There are no noise recordings at /nowhere"):
        preview(composed("augment.waveform.noise_recordings=/nowhere"), manifest, tmp_path, 1, 1)
    with pytest.raises(ManifestError, match="does not exist"):
        preview(composed(), tmp_path / "no.jsonl", tmp_path, 1, 1)
