"""Streams of both protocols, the peer, and the evaluation as a whole, on sounds made here."""

import json
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import numpy as np
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st

from experiments.errors import ConfigError
from experiments.trigger.evaluation import peers, picovoice, recipe, strict
from experiments.trigger.evaluation.events import Label, judge
from experiments.trigger.evaluation.sources import RATE, Noise, Recording, backgrounds, positives, transcripts
from experiments.trigger.evaluation.streams import Stream, loudest, score
from heyjetson.audio import load
from manifests.trigger.sounds import part_of

TONES = {"alexa": 700.0, "hey jarvis": 1900.0}


class ToneScorer:
    """Hears a tone for each word: its share of the power of the last 0.2 s."""

    words = list(TONES)
    frame_seconds = 0.04

    def scores(self, samples: np.ndarray) -> np.ndarray:
        hop, window = 640, 3200
        padded = np.pad(samples, (window - hop, 0))
        frames = np.lib.stride_tricks.sliding_window_view(padded, window)[::hop][: len(samples) // hop]
        power = np.abs(np.fft.rfft(frames, axis=1)) ** 2
        share = [
            power[:, round(tone / 5) - 1 : round(tone / 5) + 2].sum(1) / (power.sum(1) + 1e-9)
            for tone in TONES.values()
        ]
        return np.stack(share, 1).astype(np.float32)


def tone(frequency: float, seconds: float = 1.6, at: float = 0.6, length: float = 0.5) -> np.ndarray:
    """A word of one tone in a quiet recording."""
    rng = np.random.default_rng(round(frequency))
    samples = (0.0005 * rng.standard_normal(round(seconds * RATE))).astype(np.float32)
    time = np.arange(round(length * RATE)) / RATE
    samples[round(at * RATE) : round(at * RATE) + len(time)] += (
        0.4 * np.hanning(len(time)) * np.sin(2 * np.pi * frequency * time)
    )
    return samples.astype(np.float32)


@pytest.fixture(scope="module")
def sounds(tmp_path_factory) -> Path:
    """words/WORD/*.wav, and talk/*.wav with transcripts."""
    folder = tmp_path_factory.mktemp("sounds")
    for word, frequency in TONES.items():
        (folder / "words" / word.replace(" ", "_")).mkdir(parents=True)
        for number in range(12):
            path = folder / "words" / word.replace(" ", "_") / f"{number}.wav"
            soundfile.write(path, tone(frequency, 1.6 + 0.05 * number), RATE)
    (folder / "talk").mkdir()
    rng = np.random.default_rng(1)
    lines = []
    for number in range(30):
        talk = 0.1 * rng.standard_normal(round(rng.uniform(0.5, 3.0) * RATE))
        soundfile.write(folder / "talk" / f"t{number}.wav", talk, RATE)
        lines.append(f"t{number}|{'He asked Alexa twice.' if number in (3, 4) else 'Nothing of the kind.'}|\n")
    (folder / "talk" / "metadata.csv").write_text("".join(lines))
    return folder


@pytest.fixture(scope="module")
def words(sounds) -> dict[str, list[Recording]]:
    found, left_out = positives(sounds / "words", list(TONES), "all")
    assert not left_out
    return found


@pytest.fixture(scope="module")
def between(sounds) -> list[Recording]:
    return backgrounds([sounds / "talk"], "all")[0]


@pytest.fixture
def config(compose_config, sounds, tmp_path):
    """conf/evaluate_trigger.yaml for these sounds."""
    (tmp_path / "tones.nemo").touch()
    given = [f"model={tmp_path / 'tones.nemo'}", f"data.positives={sounds / 'words'}", "data.part=all"]

    def composed(*overrides: str):
        return compose_config(*given, f"data.backgrounds=[{sounds / 'talk'}]", *overrides, name="evaluate_trigger")

    return composed


def test_words_lie_where_the_tone_is(words):
    for recordings in words.values():
        for recording in recordings:
            assert recording.start / RATE == pytest.approx(0.6, abs=0.08)
            assert recording.end / RATE == pytest.approx(1.1, abs=0.08)


@settings(max_examples=10, deadline=None)
@given(st.lists(st.integers(1, 300_000), min_size=1, max_size=6), st.integers(0, 5))
def test_noise_does_not_depend_on_how_it_is_taken(lengths, seed):
    noise = Noise(None, seed)
    pieces = np.concatenate([noise.next(length) for length in lengths])
    assert np.array_equal(pieces, Noise(None, seed).next(sum(lengths)))


def test_the_public_benchmarks_mixing(words, between):
    """Against a plain statement of it, everything in memory: three generators of one seed, each with its own task."""
    recordings, hours, seed = words["alexa"], 0.02, 778
    stream = picovoice.word_stream(recordings, between, Noise(None, seed), hours=hours, snr=10, seed=seed)
    chance, drawn = np.random.RandomState(seed), np.random.RandomState(seed)
    gap = round(hours * 3600 * RATE) // (len(recordings) + 1)

    def peak_one(recording: Recording) -> np.ndarray:
        sound = load(recording.path, RATE)
        return sound / np.abs(sound).max()

    def silence_and_speech() -> list[np.ndarray]:
        parts: list[np.ndarray] = []
        while sum(map(len, parts)) < gap:
            sound = peak_one(between[drawn.randint(low=0, high=len(between))])
            parts.append(sound if chance.uniform() < 0.2 else np.zeros_like(sound))
        return parts

    order = chance.permutation(np.arange(len(recordings)))
    parts = silence_and_speech()
    times = []
    for index in order:
        word = peak_one(recordings[index])
        start = sum(map(len, parts)) / RATE
        times.append((start, start + len(word) / RATE + 0.5))
        parts += [word, *silence_and_speech()]
    mixed = Noise(None, seed).next(sum(map(len, parts))).copy()
    at = 0
    for part in parts:
        under = mixed[at : at + len(part)]
        if energy := loudest(part):
            under += part * np.sqrt(loudest(under) * 10 / energy)
        at += len(part)
    mixed /= np.abs(mixed).max()
    assert np.allclose([(label.start, label.end) for label in stream.labels], times)
    assert len(stream.sound) == len(mixed)
    assert np.allclose(stream.read(0, len(mixed)), mixed, atol=1e-5)
    # The rest of the labels: where the word itself is over, for latency.
    assert all(label.over < label.end - 0.5 for label in stream.labels)


def test_a_stream_that_is_kept(words, between, tmp_path):
    stream = picovoice.word_stream(words["alexa"], between, Noise(None, 1), hours=0.005)
    stream.write(tmp_path / "kept", "alexa")
    written, rate = soundfile.read(tmp_path / "kept" / "alexa_speech.wav", dtype="float32")
    assert rate == RATE and len(written) == len(stream.sound)
    assert np.abs(written).max() == pytest.approx(1.0, abs=1e-3)
    lines = (tmp_path / "kept" / "alexa_label.txt").read_text().splitlines()
    assert len(lines) == 12 and all(len(line.split(", ")) == 2 for line in lines)


def test_the_strict_stream_has_every_recording_once(words, between):
    stream = strict.word_stream(words, between, Noise(None, 1))
    assert sorted(label.source for label in stream.labels) == sorted(
        str(r.path) for all_ in words.values() for r in all_
    )
    assert sorted(name for name in stream.files if "talk" in name) == sorted(str(one.path) for one in between)
    assert stream.distinct_hours == pytest.approx(strict.distinct_hours(between))
    longer = strict.word_stream(words, between, Noise(None, 1), hours=0.03)
    spoken = sum(recording.samples for each in words.values() for recording in each) / RATE / 3600
    assert longer.hours - spoken == pytest.approx(0.03, abs=3.1 / 3600)
    assert longer.distinct_hours == stream.distinct_hours
    assert all(stream.heard_at(label.start) == label.source for label in stream.labels)


def test_the_signal_to_noise_ratio(words, between):
    stream = strict.word_stream(words, between, Noise(None, 5), snr=10)
    noise = Noise(None, 5).next(len(stream.sound))
    for start, end in zip(stream.starts, [*stream.starts[1:], stream.seconds], strict=True):
        part = slice(round(start * RATE), round(end * RATE))
        speech = np.asarray(stream.sound[part]) - noise[part]
        assert loudest(speech) / loudest(noise[part]) == pytest.approx(10, rel=0.01)


def test_a_stream_without_words(between):
    stream = strict.negative_stream(between, Noise(None, 1), 0.05)
    alone = sum(5.0 for name in stream.files if name == "noise alone")
    assert not stream.labels and stream.hours == pytest.approx(0.05, abs=0.002)
    assert 0.05 < alone / stream.seconds < 0.16
    assert stream.distinct_hours == pytest.approx(strict.distinct_hours(between))
    assert not np.array_equal(stream.sound, strict.negative_stream(between, Noise(None, 2), 0.05, seed=2).sound)
    again = strict.negative_stream(between, Noise(None, 1), 0.05)
    assert np.array_equal(stream.sound, again.sound)


def test_what_is_read_outside_a_stream_is_silence():
    stream = Stream(np.arange(1, 6, dtype=np.float32), 0.5, [], [0.0], ["a"], 0.0, "")
    assert stream.read(-2, 3).tolist() == [0, 0, 0.5, 1, 1.5]
    assert stream.read(3, 8).tolist() == [2, 2.5, 0, 0, 0]
    assert stream.read(-3, -1).tolist() == [0, 0] and stream.read(9, 11).tolist() == [0, 0]


@pytest.mark.parametrize("block", [1.0, 7.3, 300.0])
def test_blocks_give_the_scores_of_the_whole(words, between, block):
    stream = strict.word_stream(words, between, Noise(None, 1))
    whole = ToneScorer().scores(stream.read(0, len(stream.sound)))
    assert np.allclose(score(ToneScorer(), stream, block), whole, atol=1e-5)


def test_a_scorer_that_listens_hears_one_stream(words, between):
    stream = strict.word_stream(words, between, Noise(None, 1))

    class Listening(ToneScorer):
        def listen(self, blocks):
            yield self.scores(np.concatenate(list(blocks)))

    whole = ToneScorer().scores(stream.read(0, len(stream.sound)))
    assert np.array_equal(score(Listening(), stream, 5.0), whole)


def test_backgrounds_that_say_the_word_are_left_out(sounds, tmp_path):
    kept, left_out = backgrounds([sounds / "talk"], "all", ["alexa"])
    assert len(kept) == 28 and sorted(Path(reason.split(":")[0]).name for reason in left_out) == ["t3.wav", "t4.wav"]
    chapter = tmp_path / "19" / "198"
    chapter.mkdir(parents=True)
    (chapter / "19-198.trans.txt").write_text("19-198-0001 A COMPUTER SAYS\n")
    assert transcripts(tmp_path) == {"19-198-0001": "A COMPUTER SAYS"}
    manifest = tmp_path / "talk.jsonl"
    one = {"audio_filepath": str(sounds / "talk" / "t3.wav"), "duration": 1.0, "text": "alexa"}
    two = {"audio_filepath": str(sounds / "talk" / "t5.wav"), "duration": 1.0, "text": "a complex"}
    manifest.write_text(f"{json.dumps(one)}\n{json.dumps(two)}\n")
    kept, _ = backgrounds([manifest], "all", ["alexa"])
    assert [recording.path.name for recording in kept] == ["t5.wav"]
    manifest.write_text(f"{json.dumps(one | {'text': 'Hey, Alexa!'})}\n{json.dumps(two)}\n")  # as people write it
    kept, _ = backgrounds([manifest], "all", ["hey alexa"])
    assert [recording.path.name for recording in kept] == ["t5.wav"]


def test_parts_are_told_apart_by_name(sounds, tmp_path):
    parts = [positives(sounds / "words", ["alexa"], "all")[0]["alexa"]]
    parts += [[r for r in parts[0] if part_of(r.path.name) == part] for part in ("train", "validation", "test")]
    for part, expected in zip(("train", "test"), (parts[1], parts[3]), strict=True):
        if expected:
            assert positives(sounds / "words", ["alexa"], part)[0]["alexa"] == expected
    with pytest.raises(ConfigError, match="None of the 1 recordings.*md5"):
        part = next(part for part in ("train", "test") if part != part_of("lone.wav"))
        (tmp_path / "alexa").mkdir()
        soundfile.write(tmp_path / "alexa" / "lone.wav", tone(700), RATE)
        positives(tmp_path, ["alexa"], part)
    with pytest.raises(ConfigError, match=r"data.part=tests.*train, validation, test, all"):
        positives(sounds / "words", ["alexa"], "tests")


def test_for_one_word_the_folder_may_be_its_own(sounds, words):
    """As in training."""
    alone = positives(sounds / "words" / "alexa", ["alexa"], "all")[0]
    assert [one.path for one in alone["alexa"]] == [one.path for one in words["alexa"]]
    with pytest.raises(ConfigError, match="has no folder named alexa"):
        positives(sounds / "words" / "alexa", list(TONES), "all")


def test_recordings_that_cannot_be_used_are_named(sounds, tmp_path):
    (tmp_path / "alexa").mkdir()
    soundfile.write(tmp_path / "alexa" / "good.wav", tone(700), RATE)
    soundfile.write(tmp_path / "alexa" / "silent.wav", np.zeros(RATE), RATE)
    (tmp_path / "alexa" / "broken.wav").write_bytes(b"RIFF and no more")
    found, left_out = positives(tmp_path, ["alexa"], "all")
    assert [recording.path.name for recording in found["alexa"]] == ["good.wav"]
    assert [("broken" in reason, "silent" in reason) for reason in left_out] == [(True, False), (False, True)]
    (tmp_path / "alexa" / "good.wav").unlink()
    with pytest.raises(ConfigError, match="None of the 2 recordings.*silent"):
        positives(tmp_path, ["alexa"], "all")
    with pytest.raises(ConfigError, match="no folder named computer.*alexa"):
        positives(tmp_path, ["computer"], "all")
    with pytest.raises(ConfigError, match="no folder"):
        backgrounds([tmp_path / "nowhere"], "all")
    with pytest.raises(ConfigError, match="no background"):
        backgrounds([], "all")


def test_a_background_that_breaks_off_is_noise_alone(words, between, tmp_path):
    path = tmp_path / "gone.wav"
    soundfile.write(path, np.ones(RATE) * 0.1, RATE)
    gone = Recording(path, RATE)
    path.unlink()
    stream = strict.word_stream({"alexa": words["alexa"]}, [*between, gone], Noise(None, 1))
    assert any("gone.wav" in reason for reason in stream.left_out)
    assert str(path) not in stream.files and "noise alone" in stream.files


@settings(deadline=None, max_examples=50)
@given(st.floats(1, 2000), st.lists(st.floats(0, 2000), max_size=20))
def test_utterances_end_away_from_words(seconds, starts):
    labels = [Label("alexa", start, start + 0.6) for start in starts]
    cuts = peers.utterances(seconds, labels)
    assert cuts[0] == 0 and cuts[-1] == seconds and (np.diff(cuts) > 0).all()
    for cut in cuts[1:-1]:
        assert not any(label.start - peers.CLEAR < cut < label.end + peers.CLEAR for label in labels)


def test_events_close_together_are_one():
    assert peers.apart(np.array([1.0, 1.5, 2.0, 2.9, 3.1]), 1.0).tolist() == [1.0, 2.0, 3.1]


def test_pocketsphinx_hears_real_words(recordings):
    pytest.importorskip("pocketsphinx")
    found, _ = positives(recordings / "wake_words", ["computer", "snowboy"], "validation")
    few = {word: each[:5] for word, each in found.items()}
    talk = backgrounds([recordings / "commands"], "validation")[0][:4]
    stream = strict.word_stream(few, talk, Noise(None, 1), snr=25)
    heard = peers.PocketSphinx(list(few), {"snowboy": "S N OW B OY"}).listen(stream)
    for word in few:
        found_curve = peers.peer_curve(heard, word, stream, 1.0, judge)
        assert max(point.hits for point in found_curve.points) >= 3
        assert (heard.ratios[word] >= peers.LOWEST - 1).all()


def test_a_word_pocketsphinx_cannot_speak():
    pytest.importorskip("pocketsphinx")
    with pytest.raises(ConfigError, match="lacks jetsonia.*pronunciations.jetsonia="):
        peers.PocketSphinx(["hey jetsonia"], {})
    with pytest.raises(ConfigError, match="does not know these phones"):
        peers.PocketSphinx(["jetsonia"], {"jetsonia": "QQ XX"})


@pytest.mark.parametrize("protocol", ["strict", "picovoice"])
def test_the_whole_evaluation(config, monkeypatch, tmp_path, capsys, protocol):
    monkeypatch.setattr(recipe, "scorer_of", lambda path: ToneScorer())
    out = tmp_path / "found" / "report.json"
    cfg = config(f"protocol={protocol}", "hours=0.02", "negative_hours=0.01", f"out={out}")
    recipe.evaluate(cfg)
    record = json.loads(out.read_text())
    assert record["protocol"] == protocol and record["seed"] == 778 and record["words"] == dict.fromkeys(TONES, 12)
    assert {row["target"] for row in record["results"]} == {0.1, 0.5, 1.0}
    for row in record["results"]:
        assert row["miss_rate"] <= 0.1 and row["false_alarms"] == len(row["false_alarm_list"])
        assert -0.6 < row["latency_median"] < 0.2
        low, high = row["fa_interval"]
        assert low <= row["fa_per_hour"] < high
    assert record["noise"].startswith("generated") and record["hours"] > 0.02
    assert set(record["curves"]["model"]) == set(TONES)
    assert set(record["negatives"]["systems"]["model"]["alexa"]) == {"0.1", "0.5", "1"}
    if protocol == "strict":
        assert len(record["left_out"]) == 2  # their transcripts have the word
    ElementTree.parse(out.with_suffix(".svg"))
    assert out.with_suffix(".png").stat().st_size > 1000
    assert "distinct" in capsys.readouterr().out


def test_a_model_that_heard_all_recordings_is_not_judged_by_a_part_of_them_without_a_word(config, monkeypatch, caplog):
    heard = ToneScorer()
    monkeypatch.setattr(recipe, "scorer_of", lambda path: heard)
    monkeypatch.setattr(recipe, "streams_of", lambda *_: [])
    monkeypatch.setattr(recipe, "positives", lambda *_: ({}, []))
    monkeypatch.setattr(recipe, "backgrounds", lambda *_: ([], []))
    for split, part, told in (("all", "test", True), ("by_name", "test", False), ("all", "all", False)):
        heard.split = split
        caplog.clear()
        recipe.run(config("hours=0.01", f"data.part={part}"), heard)
        assert ("it has heard what follows" in caplog.text) == told


@pytest.mark.parametrize(
    ("overrides", "said"),
    [
        (["protocol=stric"], "strict, picovoice"),
        (["peers=[sphinx]"], "pocketsphinx"),
        (["hours=-1"], "hours"),
        (["targets=[]"], "targets"),
        (["model=nowhere.nemo"], "no model"),
        (["data.backgrounds=[]"], "no background"),
        (["data.positives=nowhere"], "no folder"),
    ],
)
def test_choices_that_cannot_work_are_a_sentence(config, monkeypatch, overrides, said):
    if "model=nowhere.nemo" not in overrides:
        monkeypatch.setattr(recipe, "scorer_of", lambda path: ToneScorer())
    with pytest.raises(ConfigError, match=said):
        recipe.evaluate(config(*overrides))
