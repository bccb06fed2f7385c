"""What both of NeMo's loaders give the model: sound as `heyjetson.audio` reads it, and labels.

NeMo's plain dataset reads by soundfile or pydub, Lhotse's by whichever backend takes a file first: stereo, segments and
what headers say wrongly come out differently in each, and differently from what was checked.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
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

from heyjetson.audio import Source, read_sound, resample
from heyjetson.errors import AudioError
from manifests.lines import parse_line, read_manifest, text_lines

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


def parser(labels: Sequence[str]) -> CharParser:
    """NeMo's, of transcripts that are normalised already."""
    return make_parser(labels=list(labels), name="en", do_normalize=False)


class Lines(Dataset):
    """A manifest for NeMo's plain loader; a list of indices gives a batch.

    Args:
        manifest: JSON lines.
        labels: characters of the model.
        reader: of the sound.

    Attributes:
        durations: seconds of each utterance, as the manifest has them.
    """

    def __init__(self, manifest: str, labels: Sequence[str], reader: Reader):
        self.utterances = read_manifest(manifest)
        self.durations = [utterance.duration for utterance in self.utterances]
        self.reader, self.parser = reader, parser(labels)

    def __len__(self) -> int:
        return len(self.utterances)

    def __getitem__(self, indices: Sequence[int]) -> Batch:
        chosen = [self.utterances[index] for index in indices]
        return collate([(self.reader(one.audio, *one.segment), self.parser(one.text)) for one in chosen])


class Cuts(Dataset):
    """A function from Lhotse's cuts to a batch.

    Args:
        labels: characters of the model.
        reader: of the sound.
    """

    def __init__(self, labels: Sequence[str], reader: Reader):
        self.reader, self.parser = reader, parser(labels)

    def __getitem__(self, cuts: CutSet) -> Batch:
        return collate([(self.reader.cut(cut), self.parser(cut.supervisions[0].text)) for cut in cuts])


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
