"""Alignment: the whole command on joined clips, borders in pauses, windows that hear what the whole hears."""

from dataclasses import replace

import numpy as np
import pytest
import soundfile

from experiments.align.__main__ import main
from experiments.align.acoustic import Acoustic, open_acoustic
from experiments.align.borders import Spikes, borders
from experiments.align.lattice import Costs
from experiments.align.recipe import AlignOptions, pair, write
from experiments.align.segments import segment, worst_mean
from experiments.align.texts import Utterance, cut, normaliser_for, read_transcript
from experiments.errors import ConfigError
from manifests import phones, read_manifest

RATE, HOP = 16000, 640  # samples a frame of the stand-in
LABELS = [" ", *"abcdefghijklmnopqrstuvwxyz'"]
TONES = 200.0 + 100 * np.arange(len(LABELS))


def said(text: str, frames: int = 3) -> np.ndarray:
    """Each letter as a tone of its own, a space as silence."""
    at = np.arange(frames * HOP) / RATE
    tones = [0.3 * np.sin(2 * np.pi * TONES[LABELS.index(c)] * at) * (c != " ") for c in text]
    return np.concatenate(tones).astype(np.float32)


def hears(samples: np.ndarray) -> np.ndarray:
    """A stand-in for a model: in each frame the letter whose tone is there; the blank where it is quiet."""
    frames = samples[: len(samples) // HOP * HOP].reshape(-1, HOP)
    at = np.arange(HOP) / RATE
    scores = np.zeros((len(frames), len(LABELS) + 1), np.float32)
    scores[:, -1], scores[:, 0] = 6, 5.5  # in silence the blank, or as well a space
    speaks = np.abs(frames).max(axis=1) > 0.15
    scores[speaks, :-1] += 120 * np.abs(frames[speaks] @ np.exp(-2j * np.pi * TONES * at[:, None])) / HOP
    return scores - np.log(np.exp(scores).sum(1, keepdims=True))


ACOUSTIC = Acoustic(LABELS, len(LABELS), RATE, HOP, HOP, 1, 20.0, hears)


def recording(texts, pauses, noise=1e-4, seed=0):
    """Texts with a pause before each and one behind, and the borders of each."""
    rng = np.random.default_rng(seed)
    parts, at, known = [], 0, []
    for text, pause in zip([*texts, ""], pauses, strict=True):
        parts += [np.zeros(round(pause * RATE), np.float32), *([said(text)] if text else [])]
        begin = at + len(parts[-2] if text else parts[-1])
        at = begin + (len(parts[-1]) if text else 0)
        known.append((begin / RATE, at / RATE))
    samples = np.concatenate(parts)
    return samples + noise * rng.standard_normal(len(samples)).astype(np.float32), known[:-1]


def found(samples, texts, padding=0.05, costs=None):
    utterances = [Utterance(f"t:{number}", text, text) for number, text in enumerate(texts)]
    return segment(ACOUSTIC, samples, utterances, costs or Costs(), padding)


TEXTS = ["turn on", "the light", "and now", "go home", "at once"]
PAUSES = [0.5, 0.2, 0.4, 1.3, 0.15, 0.6]


def test_borders_lie_in_the_pauses_and_nothing_overlaps():
    samples, known = recording(TEXTS, PAUSES)
    aligned = found(samples, TEXTS)
    assert [one.utterance.text for one in aligned.segments] == TEXTS
    for one, (begin, end), before, behind in zip(aligned.segments, known, PAUSES, PAUSES[1:], strict=False):
        assert begin - min(0.05, before / 2) - 0.025 <= one.begin <= begin + 0.025
        assert end - 0.025 <= one.end <= end + min(0.05, behind / 2) + 0.025
        assert one.score > -0.4
    for one, other in zip(aligned.segments, aligned.segments[1:], strict=False):
        assert one.end <= other.begin
    assert aligned.missing == [] and aligned.unspoken == 0


def test_a_recording_in_which_nothing_is_found():
    samples, _ = recording(TEXTS, PAUSES)
    for part in (samples[:641], samples[:700]):
        aligned = found(part, TEXTS)
        assert aligned.segments == [] and len(aligned.missing) == len(TEXTS)


def test_every_segment_lasts():
    """Letters alone among others, without pauses."""
    rng = np.random.default_rng(0)
    for _ in range(15):
        texts = ["".join(rng.choice([*"abe"], rng.integers(1, 4))) for _ in range(6)]
        samples, _ = recording(texts, rng.choice([0.0, 0.01, 0.04], 7).tolist())
        aligned = found(samples, texts[:3] + ["zq"] + texts[3:-1], 0.0)
        assert all(one.end - one.begin >= 0.01 for one in aligned.segments)
        assert all(one.end <= other.begin for one, other in zip(aligned.segments, aligned.segments[1:], strict=False))


def test_text_that_nobody_spoke_is_not_found_and_its_neighbours_stay():
    samples, known = recording(TEXTS, PAUSES)
    aligned = found(samples, [*TEXTS[:2], "these words were never said", *TEXTS[2:]])
    assert [one.utterance.text for one in aligned.segments] == TEXTS
    assert [one.text for one in aligned.missing] == ["these words were never said"]
    assert all(abs(one.begin - begin) < 0.1 for one, (begin, _) in zip(aligned.segments, known, strict=True))


def test_sound_without_text_belongs_to_nobody():
    samples, known = recording(TEXTS, [0.5, 0.04, 0.04, 1.3, 0.15, 0.6])  # hardly a pause on either side
    aligned = found(samples, [TEXTS[0], *TEXTS[2:]])
    assert [one.utterance.text for one in aligned.segments] == [TEXTS[0], *TEXTS[2:]]
    assert aligned.segments[0].end <= known[1][0] + 0.05
    assert aligned.segments[1].begin >= known[1][1] - 0.05
    assert aligned.unspoken == pytest.approx(known[1][1] - known[1][0] - 3 * HOP / RATE, abs=0.1)  # without its space


@pytest.mark.parametrize("level", [0.0, 0.02])
def test_minutes_of_nothing_move_no_border(level):
    samples, known = recording(TEXTS, [0.5, 0.2, 340.0, 1.3, 0.15, 0.6])  # 8,500 frames of blank
    samples += level * np.random.default_rng(1).standard_normal(len(samples)).astype(np.float32)
    aligned = found(samples, TEXTS)
    for one, (begin, end) in zip(aligned.segments, known, strict=True):
        assert one.begin == pytest.approx(begin, abs=0.1) and one.end == pytest.approx(end, abs=0.1)


def test_a_wrong_word_shows_in_the_score():
    samples, _ = recording(TEXTS, PAUSES)
    wrong = [*TEXTS[:3], "go hole", *TEXTS[4:]]
    scores = [one.score for one in found(samples, wrong).segments]
    assert scores[3] < -1 < min(scores[:3] + scores[4:])


def test_blank_may_be_any_column():
    samples, _ = recording(TEXTS, PAUSES)
    first = replace(ACOUSTIC, blank_id=0, run=lambda sound: np.roll(hears(sound), 1, axis=1))
    utterances = [Utterance(str(number), text, text) for number, text in enumerate(TEXTS)]
    assert segment(first, samples, utterances, Costs(), 0.05) == segment(ACOUSTIC, samples, utterances, Costs(), 0.05)


def test_without_a_pause_the_border_is_the_quietest_place():
    level = np.r_[np.full(50, 0.3), np.full(2, 0.12), np.full(48, 0.3)].astype(np.float32)
    samples = np.repeat(level, 160) * np.tile([1, -1], 8000).astype(np.float32)
    (begin, end), (other, last) = borders([Spikes(0.1, 0.4, 0, 1), Spikes(0.6, 0.9, 0, 1)], samples, RATE, 0.1)
    assert end == other == pytest.approx(0.51, abs=0.011)
    assert (begin, last) == pytest.approx((0.0, 1.0), abs=0.11)


@pytest.mark.parametrize("rate", [8000, 11025, 22050, 44100])
def test_borders_are_where_they_are_heard_after_minutes_at_any_rate(rate):
    """A hundredth of a second is no whole number of samples at 22,050 Hz."""
    spoken = [(begin, begin + 1.0) for begin in range(5, 295, 5)]
    samples = np.full(300 * rate, 1e-4, np.float32)
    for begin, end in spoken:
        samples[round(begin * rate) : round(end * rate)] = 0.1
    spikes = [Spikes(begin + 0.2, end - 0.2, 0.0, 300.0) for begin, end in spoken]
    found = borders(spikes, samples, rate, 0.1)
    assert np.abs(np.array(found) - [(begin - 0.1, end + 0.1) for begin, end in spoken]).max() < 0.03


def test_a_score_is_the_mean_of_the_worst_window():
    values = np.random.default_rng(0).normal(size=40)
    assert worst_mean(values, 7) == pytest.approx(min(values[at : at + 7].mean() for at in range(34)))
    assert worst_mean(values, 99) == pytest.approx(values.mean())


def test_windows_hear_what_the_whole_hears(bundle, nemo_file, corpus):
    sounds = [soundfile.read(one.audio, dtype="float32")[0] for one in read_manifest(corpus / "test.jsonl")]
    samples = np.tile(np.concatenate(sounds), 3)[: 60 * RATE]
    of_bundle, of_nemo = open_acoustic(bundle, 1), open_acoustic(nemo_file, 1)
    whole = replace(of_bundle, longest=100.0).log_probs(samples)
    assert whole.shape == of_bundle.run(samples).shape == (of_bundle.frames(len(samples)), 29)
    # Of what lies before its context a window knows nothing; recurrences remember a little of it.
    assert np.abs(of_bundle.log_probs(samples) - whole).max() < 5e-3
    assert np.abs(of_nemo.log_probs(samples) - whole).max() < 5e-3
    for length in (400, 16000, 200_001):  # the last window is cut anywhere
        assert len(replace(of_bundle, longest=2.0).log_probs(samples[:length])) == of_bundle.frames(length)
    with pytest.raises(ConfigError, match="less than one frame"):
        of_bundle.log_probs(samples[:100])


def test_a_stream_is_heard_as_one(streaming_bundle):
    samples = 0.1 * np.random.default_rng(3).standard_normal(25 * RATE).astype(np.float32)
    acoustic = open_acoustic(streaming_bundle, 1)
    assert np.abs(acoustic.log_probs(samples) - acoustic.run(samples)).max() == 0
    assert len(acoustic.log_probs(samples)) == acoustic.frames(len(samples))


def test_lines_and_sentences(tmp_path):
    assert list(cut("Too short to cut. Is it?")) == ["Too short to cut. Is it?"]
    assert list(cut('He met Dr. No at 3.30 p.m. "Why?" she said. J. R. R. T. wrote it…  And then?', 20)) == [
        'He met Dr. No at 3.30 p.m. "Why?"',
        "she said.",
        "J. R. R. T. wrote it…",
        "And then?",
    ]
    path = tmp_path / "talk.txt"
    path.write_text("\ufeffIt cost $5.\n\n日本\n—\n" + "One, two. " * 40 + "\n", encoding="utf-8")
    transcript = read_transcript(path, normaliser_for(LABELS))
    assert [one.text for one in transcript.utterances] == ["it cost five dollars", *["one two"] * 40]
    assert transcript.utterances[-1].where == f"{path}:5"
    assert [fault.split(": ")[0] for fault in transcript.unsayable] == [f"{path}:3", f"{path}:4"]
    path.write_text("日本\n", encoding="utf-8")
    with pytest.raises(ConfigError, match="no text that the model can write"):
        read_transcript(path, normaliser_for(LABELS))


def run(monkeypatch, capsys, *arguments):
    monkeypatch.setattr("sys.argv", ["align", *map(str, arguments)])
    try:
        main()
    except SystemExit as ended:
        assert ended.code == 1
    return capsys.readouterr()


@pytest.fixture
def talks(tmp_path):
    """Two recordings in a folder, their transcripts in another, and one without."""
    for folder in ("sound", "text"):
        (tmp_path / folder).mkdir()
    for seed, name in enumerate(("a", "b")):
        samples, _ = recording(TEXTS, PAUSES, seed=seed)
        soundfile.write(tmp_path / "sound" / f"{name}.flac", samples, RATE)
        lines = [*TEXTS[:2], "日本", "Go hole!" if name == "b" else "Go home.", TEXTS[4]]
        (tmp_path / "text" / f"{name}.txt").write_text("\n".join([*lines[:2], TEXTS[2], *lines[2:]]), encoding="utf-8")
    (tmp_path / "text" / "c.txt").write_text("nothing")
    return tmp_path


def test_the_command_writes_what_is_sure_and_what_is_not(talks, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("experiments.align.acoustic.open_acoustic", lambda path, threads: ACOUSTIC)
    out = tmp_path / "out"
    keys = ["model=x", f"sound={talks / 'sound'}", f"text={talks / 'text'}", f"out={out}"]
    said = run(monkeypatch, capsys, *keys)
    aligned, doubtful = read_manifest(out / "aligned.jsonl"), read_manifest(out / "doubtful.jsonl")
    assert [one.text for one in aligned] == [*TEXTS, *TEXTS[:3], TEXTS[4]]
    assert [one.text for one in doubtful] == ["go hole"]
    for one in (*aligned, *doubtful):
        assert one.audio.name in ("a.flac", "b.flac") and one.offset is not None
        assert (one.extra["score"] < -1) == (one in doubtful)
        assert one.offset + one.duration <= soundfile.info(one.audio).duration
    assert [line.partition(": ")[0] for line in (out / "left_out.txt").read_text().splitlines()] == [
        f"{talks / 'text' / name}.txt:4" for name in "ab"
    ]
    track = (out / "labels" / "b.txt").read_text().splitlines()
    assert [line.split("\t")[2] for line in track] == [*TEXTS[:3], "? go hole", TEXTS[4]]
    assert "1 files have no partner: c.txt" in said.out and "python -m manifests table" in said.out
    assert "Less than half" not in said.out
    said = run(monkeypatch, capsys, *keys, "min_score=-20", "channels=first")
    for command in ("check", "table"):  # who is on the other channel was not aligned
        assert f"python -m manifests {command} {out / 'aligned.jsonl'} --channels first" in said.out
    assert len(read_manifest(out / "aligned.jsonl")) == 10 and not (out / "doubtful.jsonl").exists()


def test_labels_of_an_earlier_alignment_go_and_other_files_stay(talks, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("experiments.align.acoustic.open_acoustic", lambda path, threads: ACOUSTIC)
    out = tmp_path / "out"
    run(monkeypatch, capsys, "model=x", f"sound={talks / 'sound'}", f"text={talks / 'text'}", f"out={out}")
    (out / "labels" / "notes.txt").write_text("b is to be heard again\n")
    (out / "labels" / "edited.txt").write_text("0.100000\t0.700000\tturn on\n")  # as Audacity exports it
    (out / "labels" / "latin.txt").write_bytes("größer\n".encode("latin-1"))
    one = [f"sound={talks / 'sound' / 'a.flac'}", f"text={talks / 'text' / 'a.txt'}"]
    run(monkeypatch, capsys, "model=x", *one, f"out={out}")
    names = sorted(path.name for path in (out / "labels").iterdir())
    assert names == ["a.txt", "edited.txt", "latin.txt", "notes.txt"]


def test_a_model_of_sounds_is_refused(talks, tmp_path, monkeypatch, capsys):
    sounds = replace(ACOUSTIC, labels=list(phones.LABELS), blank_id=len(phones.LABELS))
    monkeypatch.setattr("experiments.align.acoustic.open_acoustic", lambda path, threads: sounds)
    keys = ["model=x", f"sound={talks / 'sound'}", f"text={talks / 'text'}", f"out={tmp_path / 'out'}"]
    assert "The model writes sounds, and transcripts are in letters" in run(monkeypatch, capsys, *keys).err
    assert not (tmp_path / "out").exists()


def test_what_is_done_is_kept_when_a_recording_breaks(talks, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("experiments.align.acoustic.open_acoustic", lambda path, threads: ACOUSTIC)
    (talks / "sound" / "b.flac").write_bytes(b"no sound")
    out = tmp_path / "out"
    said = run(monkeypatch, capsys, "model=x", f"sound={talks / 'sound'}", f"text={talks / 'text'}", f"out={out}")
    assert "b.flac" in said.err
    assert {one.audio.name for one in read_manifest(out / "aligned.jsonl")} == {"a.flac"}


def test_a_bundle_from_the_command_line(bundle, talks, tmp_path, monkeypatch, capsys):
    """Drawn weights hear nothing, so all is doubtful or not found: but every line is accounted for."""
    out = tmp_path / "out"
    sound, text = talks / "sound" / "a.flac", talks / "text" / "a.txt"
    said = run(monkeypatch, capsys, f"model={bundle}", f"sound={sound}", f"text={text}", f"out={out}")
    assert said.err == "" and "Less than half of the text" in said.out
    placed = len((out / "labels" / "a.txt").read_text().splitlines())
    assert placed + len((out / "left_out.txt").read_text().splitlines()) == 6


def test_errors_are_sentences(talks, tmp_path, monkeypatch, capsys):
    sound, text = talks / "sound", talks / "text"
    for given, said in (
        (["model=x"], "Give sound=… text=… out=… as well"),
        (["sond=x"], "There is no key sond"),
        ([f"model={tmp_path}", "out=o", f"sound={sound}", f"text={text}"], "neither a bundle nor a run's folder"),
    ):
        assert said in run(monkeypatch, capsys, *given).err
    for one, other, said in (
        (sound, tmp_path / "nowhere", "text=.*nowhere: there is no such"),
        (sound, text / "a.txt", "two files, or two folders"),
        (sound, sound, "No recording in"),
    ):
        with pytest.raises(ConfigError, match=said):
            pair(one, other)
    (sound / "a.pdf").write_text("slides")
    assert "a.pdf" not in [path.name for both in pair(sound, text).found for path in both]
    soundfile.write(sound / "a.wav", np.zeros(100), RATE)
    with pytest.raises(ConfigError, match="have one transcript"):
        pair(sound, text)
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigError, match="cannot be written to"):
        write([], tmp_path / "file", -1.0)
    with pytest.raises(ConfigError, match="padding must be 0 or more"):
        AlignOptions(padding=-1)
    with pytest.raises(ConfigError, match="must be more than 0"):
        AlignOptions(costs=Costs(unread=0))
    with pytest.raises(ConfigError, match="There is no file"):
        open_acoustic(tmp_path / "x", 1)
