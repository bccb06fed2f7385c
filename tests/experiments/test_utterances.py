"""What the model is given is what `heyjetson.audio` reads of each line: by both loaders, from manifests and shards, by
the loader's own process and by workers."""

import shutil
import subprocess

import numpy as np
import pytest
import soundfile
import torch

from experiments.data.epoch_loader import EpochLoader
from experiments.data.preparation import Data
from heyjetson.audio import load
from heyjetson.errors import AudioError
from manifests.check import Requirements, check
from manifests.lines import Utterance, read_manifest, write_manifest
from manifests.shard import SHARDS, shard

RATE = 16000
LETTERS = "abcdefgh"


def noise(seed: int, seconds: float, rate: int) -> np.ndarray:
    return (np.random.default_rng(seed).standard_normal(round(seconds * rate)) * 0.1).astype(np.float32)


@pytest.fixture(scope="module")
def lines(tmp_path_factory):
    """Recordings that NeMo's readers take for something else, or cannot take; each utterance has its own letter."""
    folder = tmp_path_factory.mktemp("kinds")
    left, right = noise(1, 1.0, RATE), noise(2, 1.0, RATE)
    soundfile.write(folder / "stereo.wav", np.stack([left, right], axis=1), RATE)
    soundfile.write(folder / "opposite.flac", np.stack([left, -0.95 * left], axis=1), RATE)
    soundfile.write(folder / "long.wav", np.stack([noise(3, 4.0, 44100), noise(4, 4.0, 44100)], axis=1), 44100)
    for name, seed in (("one.ogg", 5), ("two.ogg", 6)):
        soundfile.write(folder / name, noise(seed, 1.0, RATE), RATE)
    (folder / "chained.ogg").write_bytes((folder / "one.ogg").read_bytes() + (folder / "two.ogg").read_bytes())
    made = [
        Utterance(folder / "stereo.wav", 1.0, "a"),
        Utterance(folder / "opposite.flac", 1.0, "b"),
        Utterance(folder / "long.wav", 1.0, "c", offset=0.0),
        Utterance(folder / "long.wav", 1.25, "d", offset=1.5),
        Utterance(folder / "long.wav", 4.0, "e"),
        Utterance(folder / "chained.ogg", 2.0, "f"),
        Utterance(folder / "chained.ogg", 0.75, "g", offset=1.1),
    ]
    if shutil.which("ffmpeg"):
        piped = subprocess.run(
            ["ffmpeg", "-v", "error", "-i", folder / "long.wav", "-q:a", "4", "-write_xing", "0", "-f", "mp3", "-"],
            stdout=subprocess.PIPE,
            check=True,
        )
        (folder / "piped.mp3").write_bytes(piped.stdout)
        made.append(Utterance(folder / "piped.mp3", 4.0, "h"))
    write_manifest(folder / "lines.jsonl", made)
    report = check(folder / "lines.jsonl", Requirements(LETTERS))
    assert not report.faults
    assert [note for note in report.notes.lines() if "opposite.flac" in note and "cancel" in note]
    return folder / "lines.jsonl"


def given(loader, labels_of) -> dict[str, torch.Tensor]:
    """The sound of each utterance of an epoch or more, by its letter."""
    sounds: dict[str, torch.Tensor] = {}
    for signal, length, labels, label_length in loader:
        assert label_length.eq(1).all() and signal.shape[1] == length.max()
        for row, count, ids in zip(signal, length, labels, strict=True):
            sounds[labels_of[int(ids[0])]] = row[:count]
            assert not row[count:].any()
    return sounds


@pytest.mark.parametrize(
    ("kind", "workers", "channels"),
    [
        ("plain", 0, "mix"),
        ("plain", 2, "mix"),
        ("plain", 0, "first"),
        ("lhotse", 0, "mix"),
        ("lhotse", 2, "mix"),
        ("lhotse", 0, "first"),
        ("shards", 0, "first"),
        ("shards", 2, "mix"),
    ],
)
def test_the_model_is_given_what_was_checked(compose_config, lines, tmp_path, kind, workers, channels):
    from experiments.data.datamodule import SpeechDataModule

    choice = "plain" if kind == "plain" else "lhotse"
    cfg = compose_config(
        f"data.loader={choice}", f"data.num_workers={workers}", "data.batch_duration=6", "data.buckets=2",
        "data.batch_size=3", "logger=none",
    )  # fmt: skip
    data = Data(lines, lines, {}, channels=channels)
    if kind == "shards":
        shard(lines, tmp_path / "shards", 2, Requirements(LETTERS))
        assert len(list((tmp_path / "shards" / SHARDS).glob("*.tar"))) == 2
        data = Data(lines, lines, {}, tmp_path / "shards", channels)
    loader = SpeechDataModule(cfg, data).train_dataloader()
    if choice == "lhotse":
        loader = EpochLoader(loader.loader, 12)
    found = given(loader, cfg.labels)
    utterances = read_manifest(lines)
    assert set(found) == {utterance.text for utterance in utterances}
    for utterance in utterances:
        offset, duration = utterance.segment
        wanted = load(utterance.audio, RATE, channels=channels, offset=offset, duration=duration)
        assert abs(len(wanted) / RATE - utterance.duration) < 0.1
        np.testing.assert_array_equal(found[utterance.text].numpy(), wanted, err_msg=utterance.text)


def test_validation_and_statistics_hear_the_same(compose_config, lines):
    from experiments.data.datamodule import SpeechDataModule

    data = Data(lines, lines, {}, channels="second")
    lone = lines.with_name("stereo.jsonl")
    write_manifest(lone, [one for one in read_manifest(lines) if one.text in "abcde"])
    data = Data(lone, lone, {}, channels="second")
    module = SpeechDataModule(compose_config("data.num_workers=0", "data.batch_size=2"), data)
    found = given(module.val_dataloader(), module.cfg.labels)
    drawn = sorted(len(samples) for samples in module.random_sound(seed=3))
    assert drawn == sorted(len(sound) for sound in found.values())
    for utterance in read_manifest(lone):
        offset, duration = utterance.segment
        wanted = load(utterance.audio, RATE, channels="second", offset=offset, duration=duration)
        np.testing.assert_array_equal(found[utterance.text].numpy(), wanted)


def test_a_recording_that_is_cut_is_not_trained_as_whole(compose_config, tmp_path):
    """Where the preflight trusted the manifest (data.check=fast)."""
    from experiments.data.datamodule import SpeechDataModule

    soundfile.write(tmp_path / "a.wav", noise(0, 2.0, RATE), RATE)
    whole = (tmp_path / "a.wav").read_bytes()
    (tmp_path / "a.wav").write_bytes(whole[: len(whole) // 2])
    write_manifest(tmp_path / "m.jsonl", [Utterance(tmp_path / "a.wav", 2.0, "a")])
    data = Data(tmp_path / "m.jsonl", tmp_path / "m.jsonl", {})
    with pytest.raises(AudioError, match=r"a.wav is cut short: 1\.\d+ s are there of 2.00"):
        list(SpeechDataModule(compose_config("data.num_workers=0"), data).val_dataloader())
