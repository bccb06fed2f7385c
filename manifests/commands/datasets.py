"""Commands that make manifests out of a dataset."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from manifests import an4, commonvoice, fsdd, kaldi, librispeech, ljspeech, synthetic, tables
from manifests.commands import (
    STEPS_LISTED,
    add,
    add_channels,
    add_fields,
    add_text,
    count_lines,
    from_fields,
    refuse_sources,
    text_options,
)  # fmt: skip
from manifests.corpus import SPLITS, CorpusOptions, Recording, Summary
from manifests.found import Found
from manifests.lines import ManifestError
from manifests.prepared import make
from manifests.segments import recordings as segments
from manifests.show import from_here, span, typed
from manifests.text import LABELS, USUAL
from manifests.voices.registry import INSTALLED

TAKES = 4
HELD_OUT = "of train, --validation and --test are held out all the same"


def _corpus_options() -> argparse.ArgumentParser:
    """Options that all datasets of recordings share."""
    shared = argparse.ArgumentParser(add_help=False)
    group = shared.add_argument_group("sound")
    group.add_argument("--sample-rate", type=int, default=16000, help="hertz (default 16000)")
    add_channels(group)
    group.add_argument("--in-place", action="store_true", help="list the recordings where they lie, convert nothing")
    group.add_argument("--workers", type=int, default=None, help="threads (default: all cores)")
    group = shared.add_argument_group("text", STEPS_LISTED)
    add_text(group)
    group = shared.add_argument_group("splits", "Where the dataset has no such set of its own.")
    group.add_argument("--validation", type=float, default=0.05, help="share of train (default 0.05)")
    group.add_argument("--test", type=float, default=0.05, help="share of train (default 0.05)")
    return shared


def _options(given: argparse.Namespace) -> CorpusOptions:
    return CorpusOptions(
        given.sample_rate,
        text_options(given),
        given.in_place,
        given.validation,
        given.test,
        given.workers,
        channels=given.channels,
    )


def show(made: Summary, out: Path, heard: str = "") -> int:
    """Print what came of a dataset, and the next command."""
    table = Table("split", "utterances", "length", "manifest")
    for split, manifest in made.manifests.items():
        table.add_row(split, f"{made.counts[split]:,}", span(made.hours[split]), str(from_here(manifest)))
    Console(soft_wrap=True).print(table)
    for line in made.notes():
        print(line)
    if "train" in made.manifests:
        print(f"train on it:  python train.py data=manifests {typed(out, 'data.folder=')}{heard}")
    return 0


def _make(given: argparse.Namespace, dataset: str, recordings: list[Recording] | Found) -> int:
    # Of what lies where it did no channel was chosen yet.
    heard = f" data.channels={given.channels}" if given.in_place and given.channels != "mix" else ""
    return show(make(dataset, recordings, given.out, _options(given)), given.out, heard)


def _an4(given: argparse.Namespace) -> int:
    return _make(given, "an4", an4.find(given.source, given.out))


def _ljspeech(given: argparse.Namespace) -> int:
    return _make(given, "ljspeech", ljspeech.find(given.source, given.out))


def _librispeech(given: argparse.Namespace) -> int:
    subsets = librispeech.choose(given.subsets)
    return _make(given, librispeech.identity(subsets), librispeech.find(given.source, given.out, subsets))


def _commonvoice(given: argparse.Namespace) -> int:
    return _make(given, "commonvoice", commonvoice.recordings(given.source, given.only_language))


def _kaldi(given: argparse.Namespace) -> int:
    options = kaldi.KaldiOptions(kaldi.choose(given.sets), given.root, given.allow_commands)
    return _make(given, options.identity, kaldi.recordings(given.folder, given.out, options))


def _table(given: argparse.Namespace) -> int:
    refuse_sources([given.out / f"{split}.jsonl" for split in SPLITS], [given.file])
    columns = {"audio": given.audio, "text": given.text, "start": given.start, "end": given.end}
    return _make(given, "table", tables.from_table(given.file, root=given.root, split=given.split, **columns))


def _segments(given: argparse.Namespace) -> int:
    options = segments.SegmentOptions(
        given.format, given.tier, given.pause, given.pad, given.shortest, given.longest, given.overlap, given.split
    )
    return _make(given, "segments", segments.recordings(given.sound, given.label_file, options))


def _folder(given: argparse.Namespace) -> int:
    return _make(given, "folder", tables.from_folder(given.folder))


def _made(manifests: dict[str, Path], out: Path) -> int:
    for split, path in manifests.items():
        print(f"{split:12} {count_lines(path):6} utterances  {from_here(path)}")
    print(f"train on it:  python train.py data=manifests {typed(out, 'data.folder=')}")
    return 0


def _refuse_unused(given: argparse.Namespace) -> None:
    """Options of AN4-like sentences say nothing of texts of one's own, nor these of those."""
    usual = asdict(synthetic.SyntheticOptions())
    del usual["seed"]
    if not given.texts:
        text = {"labels": LABELS, "language": "en", "without": "", "markup": ",".join(USUAL)}
        usual = {"takes": TAKES, "voices": INSTALLED, **text}
    if unused := [f"--{name.replace('_', '-')}" for name, value in usual.items() if getattr(given, name) != value]:
        raise ManifestError(
            f"{', '.join(unused)}: not used {'with' if given.texts else 'without'} --texts. Leave it out."
        )


def _synthetic(given: argparse.Namespace) -> int:
    _refuse_unused(given)
    if given.texts:
        from manifests import spoken_texts

        texts, notes = spoken_texts.read_texts(given.texts, text_options(given))
        print(*notes, sep="\n", end="\n" if notes else "")
        voices = given.voices.split(",")
        made = spoken_texts.build(given.out, texts, given.takes, voices, given.seed, given.workers)
        return _made(made, given.out)
    return _made(synthetic.build(given.out, from_fields(synthetic.SyntheticOptions, given), given.workers), given.out)


def _fsdd(given: argparse.Namespace) -> int:
    source = given.source or fsdd.download(given.out.parent / "fsdd-source")
    return _made(fsdd.build(source, given.out, from_fields(fsdd.DigitOptions, given)), given.out)


def register(commands: Any) -> None:
    """Add the datasets to the command line."""
    shared = [_corpus_options()]

    def dataset(
        name: str,
        run: Callable[[argparse.Namespace], int],
        summary: str,
        *examples: str,
        source: str | None = None,
        parents: list[argparse.ArgumentParser] = shared,
    ) -> argparse.ArgumentParser:
        parser = add(commands, name, run, summary, examples, parents)
        out = Path("data", "digits" if name == "fsdd" else name)
        parser.add_argument("--out", type=Path, default=out, help=f"folder to write to (default {out})")
        if source:
            parser.add_argument("--source", type=Path, default=None, help=source)
        return parser

    one = dataset(
        "synthetic", _synthetic, "AN4-like sentences in espeak-ng voices, or texts of one's own", "",
        "--train 6000",
        "--texts sentences.txt --voices espeak,kokoro --out data/mine",
        parents=[],
    )  # fmt: skip
    one.add_argument("--workers", type=int, default=None, help="processes (default: all cores)")
    one.add_argument(
        "--texts",
        type=Path,
        default=None,
        help="a file with a sentence in each line, or lines as books have them, to be spoken instead",
    )
    one.add_argument("--takes", type=int, default=TAKES, help=f"of each of these sentences (default {TAKES})")
    one.add_argument(
        "--voices", default=INSTALLED, metavar="NAME[:FOLDER],…",
        help="that speak them: espeak, kokoro, piper, flite, folder:FOLDER (default: all that are installed)",
    )  # fmt: skip
    add_text(one.add_argument_group("text", f"Of --texts. {STEPS_LISTED}"))
    add_fields(one, synthetic.SyntheticOptions)
    fetched = "folder or archive (default: download it)"
    one = dataset(
        "fsdd", _fsdd, "strings of real spoken digits (Free Spoken Digit Dataset)", "--source DIR", source=fetched,
        parents=[],
    )  # fmt: skip
    add_fields(one, fsdd.DigitOptions)
    dataset("an4", _an4, "CMU AN4: 50 minutes, 64 MB", "", "--source an4_sphere.tar.gz", source=fetched)
    dataset("ljspeech", _ljspeech, "LJSpeech: 24 hours of one reader, 2.6 GB", "--out data/lj", source=fetched)
    one = dataset(
        "librispeech", _librispeech, "LibriSpeech: up to 1,000 hours, 0.3 to 30 GB a subset",
        "--subsets train-clean-100,dev-clean,test-clean", "--subsets all --out /data/libri",
        "--source LibriSpeech --subsets dev-clean --in-place", source="folder with the subsets (default: download)",
    )  # fmt: skip
    one.add_argument(
        "--subsets", default="train-clean-100,dev-clean,test-clean",
        help=f"comma-separated, or all (default %(default)s); there are {', '.join(librispeech.SUBSETS)}",
    )  # fmt: skip
    one = dataset("commonvoice", _commonvoice, "Mozilla Common Voice, unpacked", "--source cv-corpus-17.0 --only en")
    one.add_argument("--source", type=Path, required=True, help="folder (its archives need an account)")
    one.add_argument("--only", dest="only_language", default=None, help="folder name of the language, such as en")
    one = dataset(
        "kaldi", _kaldi, "Kaldi's data directory (wav.scp, text, segments, utt2spk), or a folder with several",
        "speechocean762", "egs/wsj/s5/data --sets train_si284,test_dev93:dev,test_eval92:test --allow-commands",
    )  # fmt: skip
    one.add_argument("folder", type=Path, help="the data directory, or a folder with train, dev, test in it")
    one.add_argument("--sets", default="", metavar="NAME[:SPLIT],…", help="which of several (default: all with a text)")
    one.add_argument("--root", type=Path, default=None, help="folder paths are relative to (default: looked for)")
    one.add_argument(
        "--allow-commands", action="store_true",
        help="run entries of wav.scp that are commands, with your rights: only where you trust who wrote them",
    )  # fmt: skip
    one = dataset(
        "table", _table, "anything tabular: .csv, .tsv, .jsonl; DeepSpeech, Baidu and NeMo files as they are",
        "clips.csv --audio file --text sentence", "train.jsonl --split train --out data/mine",
        "talks.csv --start from --end to",
    )  # fmt: skip
    one.add_argument("file", type=Path, help="the table, with a line of column names (or JSON lines)")
    one.add_argument("--audio", default=None, help="column with the path (default: the usual names)")
    one.add_argument("--text", default=None, help="column with the transcript (default: the usual names)")
    one.add_argument(
        "--start", default=None,
        help="column with the second a segment starts at (default: the usual names, such as start or offset)",
    )  # fmt: skip
    one.add_argument("--end", default=None, help="column with the second it ends at (default: the usual names)")
    one.add_argument("--root", type=Path, default=None, help="folder the paths are relative to (default: the table's)")
    one.add_argument(
        "--split", choices=("train", "validation", "test"), default=None, help=f"where all rows go; {HELD_OUT}"
    )
    one = dataset("folder", _folder, "clip.wav beside clip.txt; folders train, dev, test are splits", "recordings")
    one.add_argument("folder", type=Path, help="recordings with their transcripts, at any depth")
    one = dataset(
        "segments", _segments, "long recordings with subtitles or labels: SRT, WebVTT, TextGrid, Audacity, CTM, STM",
        "talk.mp3 talk.srt", "talks --pad 0.1 --longest 15 --in-place", "calls calls.stm --out data/calls",
        "interview.wav interview.TextGrid --tier anna,ben",
    )  # fmt: skip
    usual = segments.SegmentOptions()
    one.add_argument("sound", type=Path, help="recording, or folder of recordings")
    one.add_argument(
        "label_file",
        metavar="labels",
        type=Path,
        nargs="?",
        help="its labels, or folder of labels (default: beside them)",
    )
    one.add_argument("--format", choices=segments.FORMATS, default=None, help="of the labels (default: by suffix)")
    one.add_argument("--tier", default=None, metavar="NAME,…", help="of a TextGrid (default: the first with words)")
    one.add_argument(
        "--split", choices=("train", "validation", "test"), default=None, help=f"where all segments go; {HELD_OUT}"
    )
    for name, text in (
        ("pause", "between words (CTM, tiers of words) that parts utterances"),
        ("pad", "added before and after, as far as nobody else speaks"),
        ("shortest", "what is shorter is left out"),
        ("longest", "what is longer is left out; words are parted before"),
        ("overlap", "that two segments may share; what overlaps more is left out"),
    ):
        default = getattr(usual, name)
        one.add_argument(f"--{name}", type=float, default=default, help=f"seconds {text} (default {default:g})")
