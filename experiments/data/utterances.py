"""What both loaders give the model: sound as `heyjetson.audio` reads it, and labels.

NeMo's plain dataset reads by soundfile or pydub, Lhotse's by whichever backend takes a file first: stereo, segments and
what headers say wrongly come out differently in each, and differently from what was checked.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch
from lhotse import CutSet, MonoCut, SupervisionSegment
from lhotse.audio import AudioSource, Recording
from nemo.collections.common.data.lhotse.cutset import data_type_parser
from nemo.collections.common.parts.preprocessing.parsers import CharParser, make_parser
from omegaconf import DictConfig
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence
from torch.utils.data import Dataset

from experiments.data.left_out import LeftOut
from experiments.data.sampler import fingerprint
from heyjetson.audio import Source, read_sound, resample
from heyjetson.errors import AudioError
from manifests.lines import Utterance, parse_line, text_lines
from manifests.shard import SHARDS

LINES = "utterances"  # name of this project's manifests among the data types of NeMo's Lhotse loader
Batch = tuple[Tensor, Tensor, Tensor, Tensor]


@dataclass(frozen=True)
class Reader:
    """Reads utterances as the model hears them.

    Args:
        sample_rate: hertz.
        channels: of recordings that have several; see `heyjetson.audio.to_mono`.
    """

    sample_rate: int
    channels: str = "mix"

    def __call__(self, source: Source, offset: float = 0.0, duration: float | None = None) -> Tensor:
        """Sound of a recording or of a segment, [S] float32.

        Raises:
            AudioError: it cannot be read, or is not all there.
        """
        sound = read_sound(source, channels=self.channels, offset=offset, duration=duration)
        if sound.missing:
            raise AudioError(
                f"{source if isinstance(source, (str, Path)) else 'A recording in a shard'} is cut short: "
                f"{sound.seconds:.2f} s are there of {sound.seconds + sound.missing:.2f}. Fetch it again, or leave it "
                "out: data.check=full data.on_bad_sample=skip."
            )
        return torch.from_numpy(resample(sound.samples, sound.rate, self.sample_rate))

    def cut(self, cut: Any) -> Tensor:
        """Sound of one of Lhotse's cuts, from a manifest (see `cuts`) or from shards."""
        source = cut.recording.sources[0]
        if source.type == "memory":  # a shard holds the utterance and nothing else
            return self(source.source)
        offset, duration = cut.custom["segment"]
        return self(source.source, offset, duration)


def collate(utterances: Sequence[tuple[Tensor, Sequence[int]]]) -> Batch:
    """Signals [B, S] and their lengths [B], labels [B, L] and theirs, of sound [S] and labels."""
    signals = [signal for signal, _ in utterances]
    labels = [torch.tensor(ids, dtype=torch.long) for _, ids in utterances]
    return (
        pad_sequence(signals, batch_first=True),
        torch.tensor([len(signal) for signal in signals]),
        pad_sequence(labels, batch_first=True),
        torch.tensor([len(ids) for ids in labels]),
    )


class Survivors:
    """Batches of the utterances that can be read.

    Args:
        left_out: lists those that cannot; None has the first of them raise.
    """

    def __init__(self, left_out: LeftOut | None = None):
        self.left_out = left_out
        self._spare: tuple[Tensor, Sequence[int]] | None = None

    def __call__(self, wanted: Iterable[tuple[str, Callable[[], Tensor], Sequence[int]]]) -> Batch:
        """A batch; where none of its utterances can be read, of one that was heard before: no process of a run may be
        without.

        Args:
            wanted: name, reader of the sound, and labels of each.

        Raises:
            AudioError: one cannot be read, where none may be left out; or none that there was until now.
        """
        read, fault = [], None
        for name, sound, labels in wanted:
            try:
                read.append((sound(), labels))
            except (AudioError, OSError) as error:
                if self.left_out is None:
                    raise
                fault = error
                self.left_out.add(name, str(error))
        if fault is not None and not read:
            if self._spare is None:
                raise AudioError(f"No utterance of the first batch can be read. {fault}")
            read = [self._spare]
        if self.left_out is not None:
            self._spare = read[0]
        return collate(read)


def parser(labels: Sequence[str]) -> CharParser:
    """NeMo's, of transcripts that are normalised already."""
    return make_parser(labels=list(labels), name="en", do_normalize=False)


class Lines(Dataset):
    """The utterances of a manifest; a list of indices gives a batch.

    Args:
        utterances: of the manifest.
        labels: characters of the model.
        reader: of the sound.
        left_out: lists utterances that cannot be read; None raises.

    Attributes:
        durations: seconds of each utterance, as the manifest has them.
    """

    def __init__(
        self, utterances: Sequence[Utterance], labels: Sequence[str], reader: Reader, left_out: LeftOut | None = None
    ):
        self.utterances = utterances
        self.durations = [utterance.duration for utterance in self.utterances]
        self.reader, self.parser, self.survivors = reader, parser(labels), Survivors(left_out)

    @property
    def content(self) -> str:
        """Names what is heard, wherever it lies."""
        return fingerprint(self.reader, [(one.audio.name, one.segment, one.text) for one in self.utterances])

    def __len__(self) -> int:
        return len(self.utterances)

    def __getitem__(self, indices: Sequence[int]) -> Batch:
        chosen = [self.utterances[index] for index in indices]
        return self.survivors(
            (f"{one.audio} (line {one.line})", partial(self.reader, one.audio, *one.segment), self.parser(one.text))
            for one in chosen
        )


class Cuts(Dataset):
    """A function from Lhotse's cuts to a batch.

    Args:
        labels: characters of the model.
        reader: of the sound.
        left_out: lists utterances that cannot be read; None raises.
    """

    def __init__(self, labels: Sequence[str], reader: Reader, left_out: LeftOut | None = None):
        self.reader, self.parser, self.survivors = reader, parser(labels), Survivors(left_out)

    def __getitem__(self, cuts: CutSet) -> Batch:
        return self.survivors(
            (_named(cut), partial(self.reader.cut, cut), self.parser(cut.supervisions[0].text)) for cut in cuts
        )


def _named(cut: Any) -> str:
    source = cut.recording.sources[0]
    return f"{cut.id} in a shard" if source.type == "memory" else f"{source.source} (line {int(cut.id.split('_')[0])})"


class _LazyCuts:
    """A manifest as cuts, read anew in each pass; nothing is looked up in the recordings."""

    def __init__(self, manifest: str):
        self.manifest = Path(manifest)

    def __iter__(self) -> Iterator[MonoCut]:
        folder = self.manifest.parent.absolute()
        for number, raw in text_lines(self.manifest):
            one = parse_line(raw, f"{self.manifest}:{number}", folder, number)
            name, rate = f"{number:09d}", 16000  # a rate that only lengths are counted in
            samples = round(one.duration * rate)
            recording = Recording(name, [AudioSource("file", [0], str(one.audio))], rate, samples, one.duration, [0])
            said = SupervisionSegment(name, name, 0.0, one.duration, text=one.text)
            yield MonoCut(name, 0.0, one.duration, 0, [said], recording=recording, custom={"segment": one.segment})


@data_type_parser(LINES)
def cuts(config: DictConfig) -> tuple[CutSet, bool]:
    """This project's manifests for NeMo's Lhotse loader: `input_cfg: [{type: utterances, manifest: FILE}]`."""
    return CutSet(_LazyCuts(config.manifest)), False


def shard_cuts(folder: Path, seed: int) -> Iterator[Any]:
    """Cuts of a folder of shards, the shards in a random order."""
    yield from CutSet.from_shar(in_dir=str(folder / SHARDS), shuffle_shards=True, seed=seed)
