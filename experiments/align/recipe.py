"""Long recordings and their transcripts become manifests: those that are sure, and the doubtful ones."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from experiments.align.acoustic import Acoustic
from experiments.align.lattice import Costs
from experiments.align.segments import Aligned, Segment, segment
from experiments.align.texts import LONGEST, Transcript, normaliser_for, read_transcript
from experiments.errors import ConfigError
from heyjetson.audio import is_recording, load
from manifests import phones
from manifests.lines import Utterance, write_manifest

ALIGNED = "aligned.jsonl"
DOUBTFUL = "doubtful.jsonl"
LEFT_OUT = "left_out.txt"
LABELS = "labels"
_TRACK = re.compile(r"(?:\d+\.\d{3}\t\d+\.\d{3}\t[^\t\n]+\n)*")  # as `_label` writes its lines
DOUBT = "? "  # before the text of a doubtful label


@dataclass(frozen=True)
class AlignOptions:
    """How recordings are aligned; see conf/align.yaml.

    Args:
        min_score: segments below it are doubtful.
        costs: of sound without text and of text without sound.
        padding: seconds of a pause that belong to the utterance beside it.
        longest_line: characters of a line that is one utterance; longer ones are cut into sentences.
        language: of the numbers in the text.
        channels: of the recordings; see `heyjetson.audio.to_mono`.

    Raises:
        ConfigError: a value cannot be.
    """

    min_score: float = -1.0
    costs: Costs = Costs()
    padding: float = 0.1
    longest_line: int = LONGEST
    language: str = "en"
    channels: str = "mix"

    def __post_init__(self) -> None:
        if self.costs.unspoken <= 0 or self.costs.unread <= 0:
            raise ConfigError(
                f"costs.unspoken and costs.unread must be more than 0, found {self.costs.unspoken:g} and "
                f"{self.costs.unread:g}."
            )
        if self.padding < 0 or self.longest_line < 1:
            raise ConfigError(
                f"padding must be 0 or more and longest_line 1 or more, found {self.padding:g} and {self.longest_line}."
            )


@dataclass(frozen=True)
class Result:
    """What became of one recording.

    Args:
        sound: its path.
        transcript: what is said in it.
        aligned: where.
    """

    sound: Path
    transcript: Transcript
    aligned: Aligned


@dataclass(frozen=True)
class Pairs:
    """Recordings and their transcripts.

    Args:
        found: sound and text of each.
        alone: files of the two folders that have no partner.
    """

    found: list[tuple[Path, Path]]
    alone: list[Path]


def pair(sound: Path, text: Path) -> Pairs:
    """One recording and its transcript, or those of two folders that have one name.

    Raises:
        ConfigError: one is a file and the other a folder, one is missing, or nothing pairs.
    """
    for path, key in ((sound, "sound"), (text, "text")):
        if not path.exists():
            raise ConfigError(f"{key}={path}: there is no such file or folder.")
    if sound.is_dir() != text.is_dir():
        raise ConfigError("sound= and text= must be two files, or two folders with files of the same names in them.")
    if not sound.is_dir():
        return Pairs([(sound, text)], [])
    texts = {path.stem: path for path in sorted(text.iterdir()) if path.suffix.lower() == ".txt" and path.is_file()}
    sounds: dict[str, Path] = {}
    for path in sorted(sound.iterdir()):
        if not path.is_file() or not is_recording(path) or path.name.startswith("."):
            continue
        if path.stem in sounds and path.stem in texts:
            raise ConfigError(f"{sounds[path.stem]} and {path} have one transcript, {texts[path.stem]}. Rename one.")
        sounds[path.stem] = path
    both = sorted(sounds.keys() & texts.keys())
    if not both:
        raise ConfigError(f"No recording in {sound} has a transcript of its name in {text}: talk.flac needs talk.txt.")
    alone = [path for files in (sounds, texts) for name, path in files.items() if name not in both]
    return Pairs([(sounds[name], texts[name]) for name in both], alone)


class Aligner:
    """A model that aligns recordings, one after another.

    Args:
        acoustic: the model.
        options: how.

    Attributes:
        normaliser: of all transcripts; it counts what it did.

    Raises:
        ManifestError: numbers of the language are not known.
        ConfigError: the model writes sounds.
    """

    def __init__(self, acoustic: Acoustic, options: AlignOptions):
        if phones.are_sounds(acoustic.labels):  # a text would be taken for sounds
            raise ConfigError(
                "The model writes sounds, and transcripts are in letters. Give one that writes letters, such as "
                "experiment=people trains."
            )
        self.acoustic, self.options = acoustic, options
        self.normaliser = normaliser_for(acoustic.labels, options.language)

    def run(self, pairs: list[tuple[Path, Path]]) -> Iterator[Result]:
        """Align recordings with their transcripts.

        Raises:
            AudioError: a recording cannot be read.
            ManifestError: a transcript cannot.
            ConfigError: a transcript holds nothing to say, or a recording is too short.
        """
        options = self.options
        # All of them before the first hour of work.
        transcripts = [read_transcript(text, self.normaliser, options.longest_line) for _, text in pairs]
        for (sound, _), transcript in zip(pairs, transcripts, strict=True):
            samples = load(sound, self.acoustic.sample_rate, channels=options.channels)
            found = segment(self.acoustic, samples, transcript.utterances, options.costs, options.padding)
            yield Result(sound, transcript, found)


def write(results: list[Result], out: Path, min_score: float) -> None:
    """Write `aligned.jsonl`, `doubtful.jsonl`, `left_out.txt` and label tracks; those of an earlier call are replaced.

    Args:
        results: of all recordings.
        out: folder.
        min_score: segments below it are doubtful.

    Raises:
        ConfigError: the folder cannot be written to.
    """
    try:
        (out / LABELS).mkdir(parents=True, exist_ok=True)
        for name, doubtful in ((ALIGNED, False), (DOUBTFUL, True)):
            lines = [
                _line(result.sound, one)
                for result in results
                for one in result.aligned.segments
                if (one.score < min_score) == doubtful
            ]
            if lines:
                write_manifest(out / name, lines)
            else:
                (out / name).unlink(missing_ok=True)
        _remove_tracks(out / LABELS, {f"{result.sound.stem}.txt" for result in results})
        left_out = [line for result in results for line in _left_out(result)]
        (out / LEFT_OUT).write_text("".join(f"{line}\n" for line in left_out), encoding="utf-8")
        for result in results:
            track = "".join(_label(one, min_score) for one in result.aligned.segments)
            (out / LABELS / f"{result.sound.stem}.txt").write_text(track, encoding="utf-8")
    except OSError as error:
        raise ConfigError(f"{out} cannot be written to ({error.strerror or error}). Give another out=.") from None


def _remove_tracks(folder: Path, written: set[str]) -> None:
    """Remove label tracks of an earlier call, but no other file."""
    for path in folder.glob("*.txt"):
        try:
            if path.name not in written and _TRACK.fullmatch(path.read_text(encoding="utf-8")):
                path.unlink()
        except UnicodeDecodeError:  # not of this module
            continue


def _line(sound: Path, found: Segment) -> Utterance:
    duration = found.end - found.begin
    extra = {"score": round(found.score, 3)}
    return Utterance(sound.absolute(), duration, found.utterance.text, extra=extra, offset=found.begin)


def _left_out(result: Result) -> Iterator[str]:
    yield from result.transcript.unsayable
    for one in result.aligned.missing:
        yield f"{one.where}: not found in {result.sound}: {one.original}"


def _label(found: Segment, min_score: float) -> str:
    """A line of an Audacity label track."""
    return f"{found.begin:.3f}\t{found.end:.3f}\t{DOUBT if found.score < min_score else ''}{found.utterance.text}\n"
