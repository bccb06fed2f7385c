"""The command line, as a user types it."""

import argparse
import io
import json
import os
import subprocess
import sys
import types

import numpy as np
import pytest
import soundfile

from heyjetson import Bundle, Engine, Result, Word
from heyjetson.cli import main, parser
from heyjetson.commands import decoder_options
from heyjetson.decoding.beam import BeamOptions
from heyjetson.formats import captions, clock, subtitles
from manifests.segments.subtitles import subrip, vtt
from tests.conftest import ROOT

COMMANDS = ("transcribe", "listen", "detect", "record", "serve", "wyoming", "info", "bench", "doctor", "build-engine")


@pytest.fixture
def speech(tmp_path):
    """A folder of two recordings, one of them stereo at another rate."""
    rng = np.random.default_rng(0)
    soundfile.write(tmp_path / "a.wav", 0.1 * rng.standard_normal(24000), 16000)
    (tmp_path / "more").mkdir()
    soundfile.write(tmp_path / "more" / "b.flac", 0.1 * rng.standard_normal((30000, 2)), 22050)
    return tmp_path


def said(capsys, *arguments: object, status: int = 0) -> str:
    assert main([str(argument) for argument in arguments]) == status
    return capsys.readouterr().out


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_help_with_an_example(name, capsys):
    with pytest.raises(SystemExit) as stop:
        parser().parse_args([name, "--help"])
    assert stop.value.code == 0
    assert f"heyjetson {name} " in capsys.readouterr().out.partition("example")[2]


@pytest.mark.parametrize("kind", ["bundle", "streaming_bundle"])
def test_folders_formats_and_files(kind, request, speech, capsys, tmp_path):
    folder = request.getfixturevalue(kind)
    lines = said(capsys, "transcribe", folder, speech).splitlines()
    assert [line.partition("\t")[0] for line in lines] == [str(speech / "a.wav"), str(speech / "more" / "b.flac")]
    records = [json.loads(line) for line in said(capsys, "transcribe", folder, speech, "--format", "json").splitlines()]
    assert [record["seconds"] for record in records] == pytest.approx([1.5, 30000 / 22050], abs=1e-3)
    assert [record["text"] for record in records] == [line.partition("\t")[2] for line in lines]
    out = tmp_path / "subtitles"
    assert said(capsys, "transcribe", folder, speech, "--format", "vtt", "--out", out) == ""
    assert (out / "a.vtt").read_text().startswith("WEBVTT")
    assert {path.name for path in out.iterdir()} == {"a.vtt", "b.vtt"}


def test_results_never_overwrite_each_other(bundle, speech, capsys):
    (speech / "more" / "a.wav").write_bytes((speech / "a.wav").read_bytes())
    assert main(["transcribe", str(bundle), str(speech), "--out", str(speech / "out")]) == 1
    assert "Several recordings are called a" in capsys.readouterr().err
    assert not (speech / "out").exists()


def test_what_people_wrote_beside_a_recording_is_not_written_over(bundle, speech, capsys):
    folder, out = speech, speech / "out"
    (folder / "a.txt").write_text("what a person wrote")
    given = ["transcribe", str(bundle), str(folder / "a.wav"), str(folder / "no.wav"), "--out"]
    assert main([*given, str(folder)]) == 1
    assert "a.txt lies beside its recording already" in capsys.readouterr().err
    assert (folder / "a.txt").read_text() == "what a person wrote"
    assert main([*given, str(out)]) == main([*given, str(out)]) == 1  # for want of no.wav
    assert (out / "a.txt").exists()


@pytest.mark.parametrize("kind", ["bundle", "streaming_bundle"])
def test_a_cut_file_is_heard_and_never_called_whole(kind, request, speech, capsys):
    folder = request.getfixturevalue(kind)
    whole = (speech / "a.wav").read_bytes()
    (speech / "cut.wav").write_bytes(whole[: 44 + 32000])
    (speech / "broken.wav").write_bytes(b"no sound")
    rng = np.random.default_rng(1)
    left = 0.1 * rng.standard_normal(16000)
    soundfile.write(speech / "opposite.wav", np.stack([left, -left], axis=1), 16000)
    assert main(["transcribe", str(folder), str(speech), "--format", "json"]) == 1
    told = capsys.readouterr()
    records = {record["file"]: record for record in map(json.loads, told.out.splitlines())}
    assert len(records) == 4  # all but the broken one
    cut, opposite = (records[str(speech / name)] for name in ("cut.wav", "opposite.wav"))
    assert (cut["seconds"], cut["missing_seconds"]) == (1.0, 0.5) and "cut short" in cut["notes"][0]
    assert "cancel" in opposite["notes"][0] and "missing_seconds" not in opposite
    assert "notes" not in records[str(speech / "a.wav")]
    assert f"{speech / 'cut.wav'}: It is cut short: 1.00 s are there of 1.50 s." in told.err
    assert "1 of 5 files could not be transcribed" in told.err and "cut short: 1 of 5 files" in told.err
    first = said(capsys, "transcribe", folder, speech / "opposite.wav", "--channels", "first")
    soundfile.write(speech / "left.wav", left, 16000)
    assert first == said(capsys, "transcribe", folder, speech / "left.wav")
    assert main(["transcribe", str(folder), str(speech / "left.wav"), "--channels", "2"]) == 1
    assert "no channel 2" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        main(["transcribe", str(folder), str(speech / "left.wav"), "--channels", "all"])


def test_standard_input(bundle, speech, capsys, monkeypatch):
    expected = said(capsys, "transcribe", bundle, speech / "a.wav")
    monkeypatch.setattr(sys, "stdin", types.SimpleNamespace(buffer=io.BytesIO((speech / "a.wav").read_bytes())))
    assert said(capsys, "transcribe", bundle, "-") == expected


def test_a_stream_writes_what_the_whole_writes(streaming_bundle, speech, capsys):
    for name in ("a.wav", "more/b.flac"):
        whole = said(capsys, "transcribe", streaming_bundle, speech / name)
        assert said(capsys, "transcribe", streaming_bundle, speech / name, "--stream") == whole


@pytest.mark.parametrize("how", [[], ["--stream"]])
def test_less_than_a_frame_is_refused_whole_and_streamed(streaming_bundle, tmp_path, capsys, how):
    soundfile.write(tmp_path / "short.wav", np.zeros(100), 16000)
    assert main(["transcribe", str(streaming_bundle), str(tmp_path / "short.wav"), *how]) == 1
    said_of_it = capsys.readouterr()
    assert "short.wav" in said_of_it.err and "less than one frame" in said_of_it.err
    assert not said_of_it.out


@pytest.mark.parametrize("channels", [1, 2])
def test_listening_to_a_pipe(streaming_bundle, speech, capsys, monkeypatch, channels):
    samples = soundfile.read(speech / "a.wav", dtype="int16")[0].repeat(channels)
    expected = said(capsys, "transcribe", streaming_bundle, speech / "a.wav").strip()
    monkeypatch.setattr(sys, "stdin", types.SimpleNamespace(buffer=io.BufferedReader(io.BytesIO(samples.tobytes()))))
    options = ["--stdin", "--rate", "16000", "--silence", "60", "--longest", "60", "--channels", str(channels)]
    assert said(capsys, "listen", streaming_bundle, *options).strip() == expected


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["listen", "{bundle}", "--stdin"], "hears whole recordings"),
        (["transcribe", "{bundle}", "{tmp}/none.wav"], "There is no file"),
        (["transcribe", "{bundle}", "{tmp}"], "holds no recording"),
        (["transcribe", "{bundle}", "a.wav", "--provider", "tpu"], "choose one of auto"),
        (["transcribe", "{bundle}", "a.wav", "--provider", "cuda"], "has no CUDAExecutionProvider"),
        (["transcribe", "{bundle}", "a.wav", "--threads", "0"], "--threads must be at least 1"),
        (["transcribe", "{bundle}", "a.wav", "b.wav", "--format", "srt"], "add --out DIR"),
        (["transcribe", "{bundle}", "--lm", "a.wav", "b.wav"], "write --lm behind the recordings"),
        (["transcribe", "{bundle}", "a.wav", "--beam", "0"], "--beam must be at least 1, found 0."),
        (["listen", "{streaming}", "--stdin", "--silence", "-1"], "silence must be 0 or more"),
        (["listen", "{streaming}", "--stdin", "--channels", "0"], "at least one channel, found 0"),
        (["listen", "{streaming}", "--stdin", "--threshold", "0.5", "--lead", "1"], "--threshold, --lead: for"),
        (["transcribe", "{bundle}", "a.wav", "--n-best", "3"], "--n-best: alternatives stand in JSON alone"),
        (["transcribe", "{bundle}", ""], "name is empty"),
        (["bench", "{bundle}", "--repeat", "0"], "--repeat must be at least 1"),
        (["transcribe", "{bundle}/manifest.json", "a.wav"], "is a file, not a bundle: give its folder, {bundle}."),
        (["info", "{tmp}"], "not a bundle"),
    ],
)
def test_wrong_use_is_a_sentence(arguments, message, bundle, streaming_bundle, tmp_path, capsys):
    places = {"bundle": bundle, "streaming": streaming_bundle, "tmp": tmp_path}
    assert main([argument.format(**places) for argument in arguments]) == 1
    assert message.format(**places) in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["transcribe", "b", "a.wav", "--formt", "json"], "there is no option --formt. Did you mean --format?"),
        (["serve", "b", "--prot=1"], "there is no option --prot. Did you mean --port?"),
        (
            ["transcrib", "b", "a.wav"],
            "there is no 'transcrib'. Did you mean transcribe? There are: transcribe, listen",
        ),
        (["transcribe", "b", "a.wav", "--format", "jso"], "there is no 'jso'. Did you mean json?"),
        (["transcribe", "b", "-a.wav"], "The file -a.wav is written ./-a.wav"),
        (["transcribe", "b", "b.wav", "-a.wav"], "The file -a.wav is written ./-a.wav"),
        (["info", "b", "more"], "not understood: more"),
        (
            ["listen", "b", "--rate", "0"],
            "argument --rate: must be a whole number of hertz from 8000 to 192000, found '0'",
        ),
        (
            ["record", "takes", "--word", "x", "--rate", "10"],
            "argument --rate: must be a whole number of hertz from 8000 to 192000, found '10'",
        ),
    ],
)
def test_what_is_mistyped_is_answered_with_the_nearest(arguments, message, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "-a.wav").touch()
    with pytest.raises(SystemExit) as stop:
        main(arguments)
    said = capsys.readouterr().err
    assert stop.value.code == 2 and message in said
    assert arguments[0] == "transcrib" or said.startswith(f"usage: heyjetson {arguments[0]} ")


def test_a_bad_file_among_good_ones_is_named(bundle, speech, capsys):
    (speech / "empty").mkdir()
    soundfile.write(speech / "click.wav", np.zeros(1), 16000)
    out = said(capsys, "transcribe", bundle, speech / "a.wav", speech / "more", status=0)
    names = [speech / name for name in ("click.wav", "empty", "a.wav", "more")]
    assert main(["transcribe", str(bundle), *map(str, names)]) == 1
    found = capsys.readouterr()
    assert found.out == out
    assert f"{speech / 'click.wav'}: The recording lasts 0.000 s" in found.err
    assert f"{speech / 'empty'} is a folder" in found.err and "2 of 4 files could not be transcribed" in found.err


def test_a_result_that_cannot_be_written_is_a_sentence(bundle, speech):
    command = [sys.executable, "-m", "heyjetson", "transcribe", str(bundle), str(speech / "a.wav")]
    with open("/dev/full", "w") as full:
        done = subprocess.run(command, cwd=ROOT, stdout=full, stderr=subprocess.PIPE, text=True)
    assert done.returncode == 1
    assert done.stderr == "heyjetson: No space left on device. Make room, or choose another place.\n"
    (speech / "taken").touch()
    done = subprocess.run([*command, "--out", str(speech / "taken")], cwd=ROOT, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (1, f"heyjetson: {speech / 'taken'}: File exists. Choose another name.\n")


NAMES = {  # of files, and as git quotes them
    "plain é.wav": "plain é.wav",
    "two\nlines.wav": r'"two\nlines.wav"',
    "a\ttab.wav": r'"a\ttab.wav"',
    'a"quote.wav': r'"a\"quote.wav"',
    "\x1b[31mred.wav": r'"\033[31mred.wav"',
    "latin \udce9.wav": r'"latin \351.wav"',  # a byte that is no UTF-8
}


def test_a_name_of_a_file_breaks_no_line(bundle, speech, capsys, monkeypatch):
    folder = speech / "named"
    folder.mkdir()
    for name in NAMES:
        (folder / name).write_bytes((speech / "a.wav").read_bytes())
    (folder / "bad\n.wav").write_bytes(b"none")
    monkeypatch.chdir(folder)
    names = [*NAMES, "bad\n.wav"]
    assert main(["transcribe", str(bundle), *names]) == 1
    found = capsys.readouterr()
    assert [line.partition("\t")[0] for line in found.out.splitlines()] == list(NAMES.values())
    assert found.err.startswith(r'heyjetson: "bad\n.wav" cannot be decoded') and len(found.err.splitlines()) == 2
    lines = said(capsys, "transcribe", bundle, *names, "--format", "json", status=1).encode().splitlines()
    assert [json.loads(line)["file"] for line in lines] == list(NAMES)


@pytest.mark.parametrize("encoding", ["utf-8", "ascii"])
def test_what_a_terminal_cannot_show_is_escaped(bundle, speech, encoding):
    path = (speech / "a.wav").rename(speech / "é\udce9.wav")
    command = [sys.executable, "-m", "heyjetson", "transcribe", bundle, path, path]
    environment = os.environ | {"PYTHONIOENCODING": f"{encoding}:strict"}
    done = subprocess.run(command, cwd=ROOT, capture_output=True, env=environment)
    assert (done.returncode, done.stderr) == (0, b"")
    assert (r"\xe9\351.wav" if encoding == "ascii" else r"é\351.wav") in done.stdout.decode(encoding)


def test_hot_words_that_cannot_be_read(bundle, capsys):
    with pytest.raises(SystemExit) as stop:
        main(["transcribe", str(bundle), "a.wav", "--hot-words", "jetson:loud"])
    assert stop.value.code == 2
    assert "The boost of 'jetson' must be a number" in capsys.readouterr().err


@pytest.mark.parametrize("kind", ["bundle", "streaming_bundle"])
def test_bench_measures(kind, request, capsys):
    figures = json.loads(
        said(capsys, "bench", request.getfixturevalue(kind), "--repeat", "2", "--live", "0.2", "--json")
    )
    assert 0 < figures["real-time factor, 3 s"] < 1
    assert figures["peak memory, MiB"] > 10
    assert ("milliseconds from the last sample to the final text" in figures) == (kind == "streaming_bundle")


def test_bench_goes_on_where_a_system_does_not_tell_the_memory(bundle, capsys, monkeypatch):
    from heyjetson import measure

    start = measure.Start(loaded=0.5, first=0.6, peak=float("nan"), torch=False)
    monkeypatch.setattr(measure, "start_up", lambda *given: start)
    figures = json.loads(said(capsys, "bench", bundle, "--repeat", "1", "--json"))
    assert figures["seconds to import and load"] == 0.5 and "peak memory, MiB" not in figures


def test_doctor_and_info(bundle, streaming_bundle, tmp_path, capsys):
    assert "CPUExecutionProvider" in said(capsys, "doctor", bundle)
    assert "bundle" in said(capsys, "doctor", tmp_path, status=1)
    assert "lookahead" in said(capsys, "info", streaming_bundle)
    assert json.loads(said(capsys, "info", streaming_bundle, "--json"))["kind"] == "ctc_stream"


def test_a_reader_that_stops_reading_is_no_error(bundle, speech):
    command = f"{sys.executable} -m heyjetson transcribe {bundle} {' '.join([str(speech / 'a.wav')] * 3)} | head -1"
    done = subprocess.run(["bash", "-c", command], cwd=ROOT, capture_output=True, text=True)
    assert "Traceback" not in done.stderr


def test_a_beam_is_searched_without_a_language_model(bundle, speech, capsys):
    engine = Engine(Bundle(bundle))
    assert type(engine.decoder()).__name__ == "GreedyDecoder"
    assert type(engine.decoder(options=BeamOptions(beam_size=64))).__name__.endswith("BeamDecoder")
    options = argparse.Namespace(lm=None, hot_words=None, beam=64)
    assert type(engine.decoder(**decoder_options(options))).__name__.endswith("BeamDecoder")
    assert said(capsys, "transcribe", bundle, speech / "a.wav", "--beam", "64")


def test_the_gate_is_described_as_it_is(capsys):
    with pytest.raises(SystemExit):
        main(["listen", "--help"])
    assert "over the background" in " ".join(capsys.readouterr().out.split())


def test_captions():
    words = [Word("one", 0.0, 0.4, 1.0), Word("two", 0.5, 0.9, 1.0), Word("three", 2.0, 2.5, 1.0)]
    assert [[word.text for word in line] for line in captions(words)] == [["one", "two"], ["three"]]
    srt = subtitles(Result("one two three", words), "srt")
    assert srt.startswith("1\n00:00:00,000 --> 00:00:00,900\none two\n\n2\n00:00:02,000 --> 00:00:02,800\nthree\n")
    long = [Word("word", i * 0.3, i * 0.3 + 0.2, 1.0) for i in range(40)]
    assert all(len(" ".join(word.text for word in line)) <= 42 for line in captions(long))
    assert clock(3599.9996, ".") == "01:00:00.000"
    assert subtitles(Result(""), "vtt") == "WEBVTT\n\n"


@pytest.mark.parametrize(("kind", "second"), [("srt", "don't"), ("vtt", "<i>")])  # SubRip has no way to write <
def test_captions_are_read_as_they_were_said(kind, second, tmp_path):
    said = ["at&t", second, "1984"]
    words = [Word(text, number + 0.1, number + 0.4, 1.0) for number, text in enumerate(said)]
    (tmp_path / f"said.{kind}").write_text(subtitles(Result(" ".join(said), words), kind), "utf-8")
    (segments,) = {"srt": subrip, "vtt": vtt}[kind](tmp_path / f"said.{kind}").segments.values()
    assert [segment.text for segment in segments] == said
    assert [(segment.start, segment.end) for segment in segments] == [(0.1, 0.9), (1.1, 1.9), (2.1, 2.9)]
