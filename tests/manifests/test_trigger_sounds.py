"""Words and backgrounds from folders, by voices, and baked."""

import json
import os

import numpy as np
import pytest
import soundfile
import soxr

from manifests import ManifestError
from manifests.__main__ import main
from manifests.espeak import speak
from manifests.trigger import sounding
from manifests.trigger.baking import Sources, bake, gather
from manifests.trigger.clips import ClipOptions, Pools
from manifests.trigger.sounds import folder_of, part_of, read_backgrounds, read_words, says, word_in
from manifests.trigger.spoken import SpokenOptions, spoken_near_misses, spoken_word

RATE = 16000
FEW = SpokenOptions(takes=12, near_misses=9, texts=6)


def recording(text: str = "computer", gain: float = 1.0, repeat: int = 1) -> np.ndarray:
    """A take with a second of a quiet room."""
    samples, rate = speak(text, "en-us+f2")
    word = soxr.resample(samples, rate, RATE) * gain
    clip = np.tile(np.concatenate([np.zeros(RATE // 2), word, np.zeros(RATE // 2)]), repeat)
    return (clip + 3e-4 * np.random.default_rng(0).standard_normal(len(clip))).clip(-1, 1).astype(np.float32)


@pytest.fixture
def folder(tmp_path):
    """Takes that can be used, and one of each kind that cannot."""
    below = tmp_path / "takes" / "Hey_Jetson"
    below.mkdir(parents=True)
    for number in range(3):
        soundfile.write(below / f"good{number}.wav", recording("hey jetson"), RATE)
    soundfile.write(below / "stereo.flac", np.stack([recording("hey jetson")] * 2, 1)[::2], RATE // 2)
    soundfile.write(below / "silent.wav", np.zeros(RATE), RATE)
    soundfile.write(below / "clipped.wav", recording(gain=20.0), RATE)
    soundfile.write(below / "long.wav", recording(repeat=8), RATE)
    soundfile.write(below / "short.wav", recording()[:800], RATE)
    (below / "broken.flac").write_bytes(b"fLaC" + bytes(range(200)))
    (below / "empty.wav").write_bytes(b"")
    return tmp_path / "takes"


def test_what_cannot_be_used_is_left_out_and_named(folder):
    sounds, faults = read_words(folder, "hey jetson")
    assert sorted(sound.name for sound in sounds) == ["good0.wav", "good1.wav", "good2.wav", "stereo.flac"]
    for name, said in {
        "silent": "silent", "clipped": "clipped", "long": "lasts", "short": "too short", "broken": "decoded",
        "empty": "",
    }.items():  # fmt: skip
        assert any(f"{name}." in fault and said in fault for fault in faults), (name, faults)
    assert len(faults) == 6
    for sound in sounds:
        assert sound.samples.dtype == np.float32 and abs(sound.samples[0]) < 1e-3
        assert 0.4 < (sound.end - sound.start) / RATE < 1.0 and len(sound.samples) / RATE < 1.3


def test_a_take_far_longer_than_the_others_is_left_out(tmp_path):
    for number in range(11):
        soundfile.write(tmp_path / f"{number}.wav", recording("stop"), RATE)
    slow = np.concatenate([recording("alexa")[: -RATE // 2 - 1000], recording("computer")[RATE // 2 :]])
    soundfile.write(tmp_path / "slow.wav", slow, RATE)
    sounds, faults = read_words(tmp_path, "stop")
    assert len(sounds) == 11 and len(faults) == 1 and faults[0].startswith("slow.wav: the word seems to last")


def test_a_part_of_a_phrase_is_not_taken_for_all_of_it(tmp_path):
    def apart(*texts: str, seconds: float) -> np.ndarray:
        said = [recording(text)[RATE // 2 : -RATE // 2] for text in texts]
        gap = 3e-4 * np.random.default_rng(0).standard_normal(round(seconds * RATE)).astype(np.float32)
        return np.concatenate([np.pad(said[0], (RATE // 2, 0)), gap, np.pad(said[1], (0, RATE // 2))])

    soundfile.write(tmp_path / "pause.wav", apart("okay", "computer", seconds=0.3), RATE)
    soundfile.write(tmp_path / "twice.wav", apart("okay computer", "okay computer", seconds=0.8), RATE)
    with pytest.raises(ManifestError, match=r"pause.wav: it holds several words apart"):
        read_words(tmp_path, "okay computer")  # neither is known to be whole
    for number in range(3):
        soundfile.write(tmp_path / f"{number}.wav", recording("okay computer"), RATE)
    sounds, faults = read_words(tmp_path, "okay computer")
    assert sorted(sound.name for sound in sounds) == ["0.wav", "1.wav", "2.wav", "twice.wav"]
    assert len(faults) == 1 and faults[0].startswith("pause.wav")


def test_a_folder_without_a_usable_take_is_refused(folder, tmp_path):
    for path in (folder / "Hey_Jetson").glob("*o*.wav"):  # the good ones, among others
        path.unlink()
    (folder / "Hey_Jetson" / "stereo.flac").unlink()
    with pytest.raises(ManifestError, match=r"No recording of 'hey jetson' .* can be used.*broken.flac"):
        read_words(folder, "hey jetson")
    (tmp_path / "empty").mkdir()
    with pytest.raises(ManifestError, match="holds no recordings"):
        read_words(tmp_path / "empty", "hey jetson")
    with pytest.raises(ManifestError, match="does not exist"):
        read_words(tmp_path / "nowhere", "hey jetson")


def test_recordings_from_the_wild_that_one_decoder_refuses_are_read(recordings):
    words, faults = read_words(recordings / "broken", "x")
    assert len(words) + len(faults) == 10 and len(words) >= 5
    assert not any("cannot be decoded" in fault for fault in faults)


def test_parts_depend_on_the_name_alone():
    parts = [part_of(f"/some/folder/{number}.flac") for number in range(3000)]
    assert parts == [part_of(f"{number}.flac") for number in range(3000)]
    shares = {part: parts.count(part) / 3000 for part in ("train", "validation", "test")}
    assert shares == pytest.approx({"train": 0.7, "validation": 0.1, "test": 0.2}, abs=0.03)


def test_each_part_reads_its_own(folder):
    chosen = {part: set() for part in ("train", "validation", "test")}
    for part, names in chosen.items():
        try:
            names |= {sound.name for sound in read_words(folder, "hey jetson", part)[0]}
        except ManifestError as error:
            assert part in str(error) or "can be used" in str(error)
    assert sum(map(len, chosen.values())) == 4
    assert all(part_of(name) == part for part, names in chosen.items() for name in names)


def test_backgrounds_with_weights(tmp_path):
    for name, seconds, count in (("long", 4, 2), ("short", 0.4, 10)):
        (tmp_path / name).mkdir()
        for number in range(count):
            noise = 0.1 * np.random.default_rng(number).standard_normal(int(seconds * 8000))
            soundfile.write(tmp_path / name / f"{number}.wav", noise, 8000)
    soundfile.write(tmp_path / "long" / "silent.wav", np.zeros(8000), 8000)
    soundfile.write(tmp_path / "long" / "click.wav", np.ones(100), 8000)
    made = read_backgrounds({str(tmp_path / "long"): 1.0, str(tmp_path / "short"): 3.0})
    assert len(made) == 12 and all(one.dtype == np.int16 for one in made)
    heard = np.array([len(one) for one in made]) * made.weights
    assert heard[2:].sum() / heard[:2].sum() == pytest.approx(3.0)
    assert len(made.faults) == 2 and any("silent" in fault for fault in made.faults)
    plain = read_backgrounds([tmp_path / "long", tmp_path / "short"])
    assert set(plain.weights) == {1.0} and plain.hours == pytest.approx(12 / 3600)
    with pytest.raises(ManifestError, match="must be above 0"):
        read_backgrounds({str(tmp_path / "long"): 0.0})


def test_a_background_with_the_word_is_refused_where_a_transcript_says_so(tmp_path):
    lines = []
    for number, text in enumerate(["turn on the light", "hey jetson stop", "he computed", "HEY JETSON"]):
        soundfile.write(tmp_path / f"{number}.wav", recording(), RATE)
        lines.append(json.dumps({"audio_filepath": f"{number}.wav", "duration": 1.5, "text": text}))
    (tmp_path / "speech.jsonl").write_text("\n".join(lines))
    made = read_backgrounds([tmp_path / "speech.jsonl"], without=["hey jetson", "compute"])
    assert [os.path.basename(name) for name in made.names] == ["0.wav", "2.wav"]
    assert len(made.faults) == 2 and "speech.jsonl:2: 'hey jetson' is said in it" in made.faults[0]
    (tmp_path / "speech.jsonl").write_text(lines[1])
    written = ["Hey, Jetson!", "“Computer,” she said", "the computer's fan", "my-computer", "Computers", "hey, Jets on"]
    again = [json.dumps(json.loads(lines[0]) | {"text": text}) for text in written]
    (tmp_path / "written.jsonl").write_text("\n".join(again))
    made = read_backgrounds([tmp_path / "written.jsonl"], without=["Hey Jetson", "computer"])
    assert len(made.faults) == 5 and len(made.names) == 1  # as people write it; whoever says computers says it whole
    with pytest.raises(ManifestError, match="can be used"):
        read_backgrounds([tmp_path / "speech.jsonl"], without=["hey jetson"])


def test_words_of_scripts_with_vowel_signs_are_whole(tmp_path):
    assert says("मैं हिन्दी बोलता हूँ।", "हिन्दी") and not says("हिंदू", "हद")
    assert not says("हिन्दी", "हि") and not says("राम", "रम")
    assert says("un cafe\u0301 !", "caf\u00e9") and not says("un cafe\u0301 !", "caf")
    for name in ("\u0939\u0926", "\u0939\u093f\u0902\u0926\u0942"):  # the second has the letters of the first
        (tmp_path / name).mkdir()
    assert folder_of(tmp_path, "\u0939\u093f\u0902\u0926\u0942").name == "\u0939\u093f\u0902\u0926\u0942"


def test_words_are_spoken_and_trimmed(tmp_path):
    first = spoken_word("hey jetson", tmp_path / "a", FEW, workers=1)
    again = spoken_word("hey jetson", tmp_path / "a", FEW)
    assert len(first) == 12
    for one, two in zip(first, again, strict=True):
        assert np.array_equal(one.samples, two.samples) and one.name == two.name
        assert 0.35 < (one.end - one.start) / RATE < 2.0 and one.start == RATE // 10
    assert [path.suffix for path in (tmp_path / "a").iterdir()] == [".npz"]


def test_a_damaged_cache_is_spoken_anew(tmp_path):
    first = spoken_word("stop", tmp_path, FEW, workers=1)
    (path,) = tmp_path.iterdir()
    path.write_bytes(path.read_bytes()[:5000])
    assert len(spoken_word("stop", tmp_path, FEW, workers=1)) == len(first)


def test_near_misses_sound_alike_and_are_no_word(tmp_path):
    sounds = spoken_near_misses(["hey jetson", "alexa"], tmp_path, FEW, workers=1)
    assert len(sounds) == 2 * FEW.near_misses and len({sound.name.partition(" (")[0] for sound in sounds}) == 12
    texts = sounding.near_misses(["hey jetson", "computer"], 60)
    assert len(texts) == len(set(texts)) == 60
    assert {"jetson", "alexa"} <= set(texts) and not {"hey jetson", "computer", "hey computer", "hay jetson"} & set(
        texts
    )
    for target in (sounding.phonemes(word) for word in ("hey jetson", "computer")):
        near = {text for text in texts if sounding.distance(target, sounding.phonemes(text)) <= len(target) / 3}
        assert near <= {"jetson"}  # else "commuter" is refused, and with it who swallows a sound of "computer"
    assert not {"commuter", "computing"} & set(sounding.near_misses(["computer"], 400))
    assert texts == sounding.near_misses(["hey jetson", "computer"], 60)
    assert spoken_near_misses(["alexa"], tmp_path, SpokenOptions(near_misses=0)) == []


@pytest.mark.parametrize("word", ["...", "", "你好", "привет"])
def test_a_word_no_voice_can_speak_is_refused(word, tmp_path):
    with pytest.raises(ManifestError, match="voice can speak"):
        spoken_word(word, tmp_path, FEW)


@pytest.mark.parametrize("wrong", [{"takes": 0}, {"part": "dev"}, {"texts": 0}, {"near_misses": -1}])
def test_ways_to_speak_that_cannot_be_are_refused(wrong):
    with pytest.raises(ManifestError):
        SpokenOptions(**wrong)


def test_pools_from_recordings_and_voices(folder, tmp_path):
    sources = Sources(["hey jetson"], folder, backgrounds=[str(folder)], cache=tmp_path / "spoken")
    pools, faults = gather(sources, FEW)
    assert len(pools.words["hey jetson"]) == 4 + 12 and len(pools.negatives) == 9 and len(faults) >= 6
    with pytest.raises(ManifestError, match="no takes"):
        gather(Sources(["hey jetson"], spoken=False))
    with pytest.raises(ManifestError, match="each once"):
        gather(Sources(["stop", "stop"]))
    with pytest.raises(ManifestError, match="no folder 'stop'"):
        gather(Sources(["hey jetson", "stop"], folder, spoken=False))


def test_takes_of_another_word_are_not_taken_for_this_one(folder, tmp_path):
    with pytest.raises(ManifestError, match=r"no folder 'hey jetsen', .* Its folders are Hey_Jetson: correct the word"):
        gather(Sources(["hey jetsen"], folder, spoken=False))
    pools, _ = gather(Sources(["hey jetsen"], folder / "Hey_Jetson", spoken=False))  # of one word the folder itself
    assert len(pools.words["hey jetsen"]) == 4


def test_where_few_recordings_leave_a_part_empty_the_cure_is_named(tmp_path):
    name = next(f"{number}.wav" for number in range(99) if part_of(f"{number}.wav") == "train")
    soundfile.write(tmp_path / name, recording("stop"), RATE)
    with pytest.raises(ManifestError, match="train on all there are: data.split=all"):
        read_words(tmp_path, "stop", "validation")


def test_clips_are_baked_with_their_words(tmp_path):
    word = word_in(recording(), "one.wav")
    baked = bake(Pools({"computer": [word]}), tmp_path / "out", 5, ClipOptions(seconds=3.0, empty=0.0), seed=2)
    lines = [json.loads(line) for line in baked.manifest.read_text().splitlines()]
    assert len(lines) == 5 and sum(len(line["words"]) for line in lines) == baked.words > 0
    for line in lines:
        samples, rate = soundfile.read(baked.manifest.parent / line["audio_filepath"])
        assert len(samples) / rate == line["duration"] == 3.0
        assert all(one["word"] == "computer" and 0 <= one["start"] < one["end"] <= 3 for one in line["words"])
    with pytest.raises(ManifestError, match="one clip"):
        bake(Pools({"computer": [word]}), tmp_path / "out", 0)
    (tmp_path / "file").write_text("")
    with pytest.raises(ManifestError, match="cannot be written"):
        bake(Pools({"computer": [word]}), tmp_path / "file", 1)


def test_the_command(folder, tmp_path, capsys):
    arguments = ["--positives", str(folder), "--no-spoken", "--out", str(tmp_path / "out"), "--clips", "3"]
    assert main(["trigger", "hey jetson", *arguments, "--backgrounds", f"{folder}=2"]) == 0
    out = capsys.readouterr().out
    assert "left out: " in out and "hey jetson: 4 takes" in out and "3 clips" in out
    assert main(["trigger", "hey jetson", *arguments, "--backgrounds", f"{folder}=x"]) == 1
    assert "FOLDER=WEIGHT" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        main(["trigger", "--help"])
    assert "python -m manifests trigger" in capsys.readouterr().out
