"""Silence in training: words are kept, in their order and with their labels; what is between them is what was drawn."""

import math
from types import SimpleNamespace

import numpy as np
import pytest
import soundfile
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from custom_modules.silence import BELOW, Silence

RATE, SPACE = 16000, 0
ONLY_AROUND, ONLY_JOINED = {"probability": 1.0, "join": 0.0}, {"probability": 0.0, "join": 1.0}


def batch(lengths: list[int], words: list[int] | None = None) -> tuple[torch.Tensor, ...]:
    """Utterances without a zero, of levels that tell them apart, and labels from 1 on."""
    length, label_length = torch.tensor(lengths), torch.tensor(words or [3] * len(lengths))
    signal = torch.sign(torch.randn(len(lengths), max(lengths))) * torch.linspace(0.1, 0.9, len(lengths))[:, None]
    labels = torch.randint(1, 28, (len(lengths), int(label_length.max())))
    inside = torch.arange(signal.shape[1]) < length[:, None]
    told = torch.arange(labels.shape[1]) < label_length[:, None]
    return signal * inside, length, labels * told, label_length


def rows(signal: torch.Tensor, length: torch.Tensor) -> list[list]:
    return [row[:count].tolist() for row, count in zip(signal, length, strict=True)]


@settings(deadline=None, max_examples=40)
@given(
    lengths=st.lists(st.integers(1, 4000), min_size=1, max_size=6),
    probability=st.sampled_from([0.0, 1.0]),
    join=st.sampled_from([0.0, 1.0]),
    space=st.sampled_from([SPACE, None]),
    seed=st.integers(0, 1000),
    data=st.data(),
)
def test_words_and_labels_are_kept(lengths, probability, join, space, seed, data):
    torch.manual_seed(seed)
    words = data.draw(st.lists(st.integers(0, 4), min_size=len(lengths), max_size=len(lengths)))
    signal, length, labels, label_length = batch(lengths, words)
    silence = Silence(probability, longest=0.1, join=join, pause=0.2, joined_longest=1.0, tone=0.0)
    heard, new, told, told_length = silence(signal, length, labels, label_length, space)
    joined = join and len(lengths) > 1 and any(words)
    assert len(heard) == len(new) == len(told) == (math.ceil(len(lengths) / 2) if joined else len(lengths))
    assert heard.shape[1] == int(new.max()) and told.shape[1] >= int(told_length.max())
    assert int(new.max()) <= max(lengths) * (1 + bool(joined)) + RATE * silence.most
    beyond = torch.arange(heard.shape[1]) >= new[:, None]
    assert not heard[beyond].any() and not told[torch.arange(told.shape[1]) >= told_length[:, None]].any()
    before = list(zip(rows(signal, length), rows(labels, label_length), strict=True))
    used = []
    for sound, said in zip(rows(heard, new), rows(told, told_length), strict=True):
        sound = [sample for sample in sound if sample]
        fits = [
            (i, j)
            for i, one in enumerate(before)
            for j, other in [(-1, ([], [])), *enumerate(before)]
            if i != j and sound == one[0] + other[0]
            and said == one[1] + [space] * (space is not None and bool(one[1] and other[1])) + other[1]
        ]  # fmt: skip
        assert fits, "an utterance is none of those that were given, nor two of them"
        used += [index for index in fits[0] if index >= 0]
    assert sorted(used) == list(range(len(lengths)))


def test_silence_lies_before_behind_and_between():
    torch.manual_seed(0)
    before, behind, between = [], [], []
    for _ in range(60):
        signal, length, labels, label_length = batch([3000, 2000, 2500])
        heard, new, *_ = Silence(**ONLY_AROUND, longest=0.1, tone=0.0)(signal, length, labels, label_length, SPACE)
        for row, count in zip(heard, new.tolist(), strict=True):
            place = row.nonzero()[:, 0]
            before.append(int(place[0]))
            behind.append(count - 1 - int(place[-1]))
        heard, *_ = Silence(**ONLY_JOINED, pause=0.3, tone=0.0)(signal, length, labels, label_length, SPACE)
        between += [int(row.nonzero()[:, 0].diff().max()) - 1 for row in heard[:1]]
    for found, most in ((before, 0.1), (behind, 0.1), (between, 0.3)):
        assert 0.5 * most * RATE < max(found) <= most * RATE
    assert 0.2 < np.mean(np.array(before) == 0) < 0.8 and 0.2 < np.mean(np.array(behind) == 0) < 0.8
    assert any(b and e for b, e in zip(before, behind, strict=True))


def test_batches_that_would_be_too_long_stay_as_they_are():
    given_batch = batch([9000, 8000])
    for longest, size in ((1.0, 2), (1.1, 1)):
        silence = Silence(**ONLY_JOINED, joined_longest=longest)
        assert len(silence(*given_batch, SPACE)[0]) == size


def test_nothing_at_the_start_and_the_same_for_the_same_seed():
    silence, given_batch = Silence(1.0, join=1.0), batch([4000, 3000, 3500, 1000])
    silence.strength = 0.0
    assert all(one is other for one, other in zip(silence(*given_batch, SPACE), given_batch, strict=True))
    silence.strength = 1.0
    drawn = []
    for seed in (1, 1, 2):
        torch.manual_seed(seed)
        drawn.append(silence(*given_batch, SPACE)[0])
    assert torch.equal(drawn[0], drawn[1]) and not torch.equal(drawn[0], drawn[2])


@pytest.mark.parametrize("beneath", [0.0, 1.0])
def test_tones_have_their_level_and_their_place(beneath):
    torch.manual_seed(0)
    signal, length, labels, label_length = batch([2000, 8000])
    silence = Silence(**ONLY_AROUND, longest=1.0, tone=1.0, beneath=beneath, quietest=-60, loudest=-40)
    levels = []
    for _ in range(40):
        heard, new, *_ = silence(signal, length, labels, label_length, SPACE)
        for row, count, sound in zip(heard, new.tolist(), signal, strict=True):
            size = int((sound != 0).sum())
            first = int(np.correlate(row.numpy(), sound[:size].numpy(), "valid").argmax())
            assert torch.equal(row[first : first + size], sound[:size]) == (not beneath)
            rest = torch.cat([row[:first], row[first + size : count]])
            if len(rest) > 1600:
                levels.append(10 * math.log10(float(rest.square().mean())))
                assert levels[-1] < 20 * math.log10(float(sound[0].abs())) - BELOW + 3
    # The level is that of the whole row's noise, of which the silence is a piece.
    assert -64 < min(levels) < -55 and -45 < max(levels) < -36


def test_recorded_noise_takes_the_place_of_drawn_noise(tmp_path):
    torch.manual_seed(0)
    soundfile.write(tmp_path / "hum.wav", 0.3 * np.sin(0.1 + 2 * np.pi * 1000 * np.arange(RATE) / RATE), RATE)
    silence = Silence(
        **ONLY_AROUND, longest=1.0, tone=1.0, beneath=0.0, noise_recordings=str(tmp_path), recorded_share=1.0
    )
    given_batch = batch([500, 16000])
    heard = max((silence(*given_batch, SPACE)[0][0] for _ in range(5)), key=lambda row: int((row != 0).sum()))
    tone = heard[(heard != 0) & (heard.abs() < 0.05)]
    spectrum = torch.fft.rfft(tone).abs()
    assert int(spectrum.argmax()) / len(spectrum) == pytest.approx(1000 / 8000, rel=0.05)


@pytest.mark.parametrize(
    "wrong",
    [{"probability": 1.1}, {"join": -0.1}, {"longest": -1}, {"pause": math.inf}, {"quietest": -30}, {"loudest": 3}],
)
def test_nonsense_is_refused_by_its_key(wrong):
    with pytest.raises(ValueError, match=r"augment\.silence\.\w+ must be"):
        Silence(**wrong)


def test_a_folder_without_sound_is_named_before_the_first_step(tmp_path):
    from experiments.errors import ConfigError
    from experiments.training.fit import read_noise

    (tmp_path / "notes.txt").write_text("none")
    for part in (Silence(noise_recordings=str(tmp_path)), Silence(noise_recordings="/nowhere")):
        with pytest.raises(ConfigError, match="There are no noise recordings"):
            read_noise(SimpleNamespace(perturb=None, silence=part))
    read_noise(SimpleNamespace(perturb=None, silence=Silence(tone=0.0, noise_recordings="/nowhere")))
