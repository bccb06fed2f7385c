"""One loaded model, for any number of recordings and streams."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import TYPE_CHECKING

import numpy as np

from heyjetson import audio
from heyjetson.bundle import Bundle
from heyjetson.chunked import OVERLAP, chunks, joined
from heyjetson.decoding.factory import make_decoder
from heyjetson.decoding.hotwords import spelled
from heyjetson.decoding.hypothesis import Decoder, Hypothesis, Result
from heyjetson.endpoint import EndpointRules
from heyjetson.errors import AudioError, BundleError, HeyJetsonError, StreamError
from heyjetson.frames import FrameStream
from heyjetson.loudness import Loudness
from heyjetson.runtime import open_runtime
from heyjetson.stream import Stream

if TYPE_CHECKING:
    from heyjetson.decoding.beam import BeamOptions
    from heyjetson.decoding.pronunciations import Pronunciations
    from heyjetson.decoding.scorer import Scorer

PIECE = 2.0  # seconds of a recording that a stream is fed at once


class Engine:
    """A bundle's graph, loaded once and shared by any number of streams and threads.

    Args:
        bundle: what to run.
        threads: onnxruntime's threads within an operator, for whole recordings; 1 leaves the other cores to others.
        provider: `auto`, `tensorrt`, `cuda` or `cpu`; see `heyjetson.runtime`.

    Attributes:
        provider: what runs the graph.

    Raises:
        ProviderError: the provider is not on this device.
        BundleError: the graph cannot be loaded, or the bundle is a trigger.
    """

    def __init__(self, bundle: Bundle, threads: int = 1, provider: str = "auto"):
        if bundle.is_trigger:
            raise BundleError(
                f"{bundle.folder} is a trigger: it hears {', '.join(bundle.labels)} and writes no text. Use `heyjetson "
                "listen` or `heyjetson detect`, or heyjetson.Trigger in Python."
            )
        self.bundle = bundle
        runtime = open_runtime(bundle, threads, provider)
        self.session, self.provider = runtime.session, runtime.name
        self._inputs = {value.name for value in self.session.get_inputs()}
        self._scorers: dict[str, Scorer] = {}

    def log_probs(self, samples: np.ndarray, length: np.ndarray | None = None) -> tuple[np.ndarray, np.ndarray]:
        """Run a graph of whole clips on sound at the bundle's sample rate.

        Args:
            samples: [B, S] float32, zero beyond each length.
            length: [B]; S for all when None.

        Returns:
            log_probs: [B, T, V + 1].
            frames: [B], how many of T belong to each.

        Raises:
            StreamError: the bundle streams.
            AudioError: samples that are not numbers: recurrences of onnxruntime's swallow them.
        """
        if self.bundle.streams:
            raise StreamError(f"{self.bundle.folder} streams: use `stream_log_probs`, or `stream` for text.")
        if length is None:
            length = np.full(len(samples), samples.shape[1])
        if not np.isfinite(samples).all():
            raise AudioError("The samples hold values that are not numbers: convert the recording again.")
        feed = {"samples": samples.astype(np.float32, copy=False), "length": length.astype(np.int64)}
        feed = {name: value for name, value in feed.items() if name in self._inputs}
        try:
            log_probs, frames = self.session.run(["log_probs", "frames"], feed)
        except HeyJetsonError:
            raise
        except Exception as error:  # onnxruntime's own exceptions share no base class of theirs
            size = f"{len(samples)} x {samples.shape[1] / self.bundle.sample_rate} s"
            longest = self.bundle.manifest["longest_seconds"]
            cure = "Export the model again."
            if samples.shape[1] > longest * self.bundle.sample_rate:
                cure = f"It was made for clips of up to {longest:g} s: use `transcribe`, which cuts longer ones."
            raise BundleError(f"The graph {self.bundle.graph} fails on {size}: {error}. {cure}") from error
        return log_probs, frames

    def heard(self, samples: np.ndarray, decoder: Decoder) -> Iterator[tuple[int, np.ndarray, Loudness]]:
        """What the model makes of a recording of any length, in stretches that follow one another without a seam.

        Args:
            samples: [S] float32 at the bundle's sample rate.
            decoder: begins anew, and is given each stretch before it is yielded.

        Yields:
            number of the first frame of a stretch, its log-probabilities [T, V + 1], the last with those of the quiet
            behind the end, and how loud the recording is.
        """
        bundle = self.bundle
        sound = Loudness(bundle.sample_rate, bundle.ahead)
        decoder.reset(0.0, sound)
        if len(samples) < bundle.manifest["window"]:
            return
        for begin in range(0, len(samples), bundle.sample_rate):  # what fits the cache is quicker
            sound.hear(samples[begin : begin + bundle.sample_rate])
        if bundle.calibration:
            samples = np.concatenate([samples, bundle.calibration.silence(bundle.sample_rate)])
        parts = [(0, self._streamed(samples))] if bundle.streams else joined(self._chunks(samples), bundle.blank_id)
        for first, log_probs in parts:
            decoder.feed(log_probs)
            yield first, log_probs, sound

    def _chunks(self, samples: np.ndarray) -> Iterator[tuple[int, np.ndarray]]:
        """First frame and log-probabilities [T, V + 1] of each chunk of a recording."""
        rate, manifest = self.bundle.sample_rate, self.bundle.manifest
        grid = manifest["hop"] * manifest["subsampling_factor"]
        longest = int(manifest["longest_seconds"] * rate)
        for begin, end in chunks(len(samples), longest, round(OVERLAP * rate), grid):
            log_probs, frames = self.log_probs(samples[None, begin:end])
            yield begin // grid, log_probs[0, : frames[0]]

    def _streamed(self, samples: np.ndarray) -> np.ndarray:
        rate = self.bundle.sample_rate
        return self.stream_log_probs(samples[begin : begin + rate] for begin in range(0, len(samples), rate))

    def stream_log_probs(self, chunks: Iterable[np.ndarray]) -> np.ndarray:
        """Log-probabilities [T, V + 1] of a stream's chunks [S] each, float32 at the bundle's sample rate."""
        return FrameStream(self.bundle, self._streaming().session).whole(chunks)

    def _streaming(self) -> Engine:
        if not self.bundle.streams:
            raise StreamError(
                f"{self.bundle.folder} hears whole recordings, not streams: its layers read from both ends. Use "
                "`transcribe`, or export a model trained with encoder=hey_jetson_streaming."
            )
        return self

    def decoder(
        self,
        scorer: str | os.PathLike[str] | None = None,
        hot_words: Mapping[str, float] | None = None,
        n_best: int = 1,
        options: BeamOptions | None = None,
    ) -> Decoder:
        """What turns log-probabilities into text.

        Args:
            scorer: a scorer file, `bundle` for the one in the bundle, or None for none; a model that writes sounds has
                the bundle's in any case, which makes words of them.
            hot_words: phrases and how much likelier they are made, in natural logarithms.
            n_best: how many hypotheses are kept.
            options: of the beam search.

        Raises:
            ScorerError: the scorer is missing or was made for other labels.
            DecoderError: a hot word cannot be written, or a library is missing.
        """
        bundle = self.bundle
        return make_decoder(
            bundle.labels,
            bundle.blank_id,
            bundle.frame_seconds,
            scorer=self._scorer(scorer),
            hot_words=hot_words,
            n_best=n_best,
            options=options,
            calibration=bundle.calibration,
        )

    def spelled(self, phrase: str, scorer: str | os.PathLike[str] | None = None) -> str:
        """A phrase that a client names as people write it, as hot words have it.

        Args:
            phrase: a name, a term.
            scorer: see `decoder`.
        """
        said = self._pronunciations(scorer)
        return said.spelled(phrase) if said else spelled(phrase, self.bundle.labels)

    def can_write(self, phrase: str, scorer: str | os.PathLike[str] | None = None) -> bool:
        """Whether a phrase can be a hot word.

        Args:
            phrase: as `spelled` gives it.
            scorer: see `decoder`.
        """
        said = self._pronunciations(scorer)
        return bool(phrase) and (said.knows(phrase) if said else set(phrase) <= set(self.bundle.labels))

    def labels_of(self, scorer: str | os.PathLike[str] | None = None) -> Callable[[str], int]:
        """What says how many labels the model writes a word with: its characters, or its sounds.

        Args:
            scorer: see `decoder`.
        """
        said = self._pronunciations(scorer)
        return (lambda word: len(said.sounds.get(word, word))) if said else len

    def characters(self, scorer: str | os.PathLike[str] | None = None) -> frozenset[str]:
        """Of which the texts are that it writes: its labels, or where these are sounds those of the words it knows.

        Args:
            scorer: see `decoder`.
        """
        said = self._pronunciations(scorer)
        return frozenset(" ".join(said.sounds) if said else "".join(self.bundle.labels))

    def _pronunciations(self, scorer: str | os.PathLike[str] | None) -> Pronunciations | None:
        opened = self._scorer(scorer)
        return opened.pronunciations if opened else None

    def _scorer(self, where: str | os.PathLike[str] | None) -> Scorer | None:
        """A scorer, opened once for all streams."""
        if (where := self.bundle.scorer_for(where)) is None:
            return None
        from heyjetson.decoding.scorer import Scorer

        path = self.bundle.folder / "scorer" if str(where) == "bundle" else where
        key = os.path.abspath(path)
        if key not in self._scorers:
            self._scorers[key] = Scorer.open(path, self.bundle.labels)
        return self._scorers[key]

    def stream(
        self,
        sample_rate: int | None = None,
        *,
        rules: EndpointRules | None = None,
        scorer: str | os.PathLike[str] | None = None,
        hot_words: Mapping[str, float] | None = None,
        n_best: int = 1,
        options: BeamOptions | None = None,
    ) -> Stream:
        """A new stream; see `Stream` for its three verbs.

        Args:
            sample_rate: hertz of what will be fed; the bundle's own when None.
            rules: end utterances by themselves; None never does.
            scorer: see `decoder`, like what follows.
            hot_words: of this stream alone.
            n_best: how many hypotheses are kept.
            options: of the beam search.

        Raises:
            StreamError: the bundle does not stream.
        """
        self._streaming()
        decoder = self.decoder(scorer, hot_words, n_best, options)
        return Stream(self.bundle, self.session, decoder, sample_rate or self.bundle.sample_rate, rules)

    def transcribe(self, samples: np.ndarray, sample_rate: int, decoder: Decoder | None = None) -> Result:
        """Transcribe a recording of any length. A bundle that streams does it as one stream.

        Args:
            samples: [S] or [S, channels], int16 or float.
            sample_rate: hertz.
            decoder: from `decoder`; greedy when None.

        Raises:
            AudioError: the recording is empty, shorter than a frame, or not made of numbers.
        """
        return last(self.results(samples, sample_rate, decoder, partials=False))

    def results(
        self, samples: np.ndarray, sample_rate: int, decoder: Decoder | None = None, partials: bool = True
    ) -> Iterator[Result]:
        """What is understood of a recording as it is worked through, piece by piece; the last result alone is final.

        Args:
            samples, sample_rate, decoder: see `transcribe`.
            partials: say what is understood so far; else all results but the last are empty, which is quicker.

        Raises:
            AudioError: see `transcribe`.
        """
        rate = self.bundle.sample_rate
        mono = audio.to_mono(samples)
        self.require_frame(len(mono), sample_rate)
        decoder = decoder or self.decoder()
        if self.bundle.streams:
            stream = Stream(self.bundle, self.session, decoder, sample_rate)
            size = max(round(PIECE * sample_rate), 1)
            for start in range(0, len(mono), size):
                stream.feed(mono[start : start + size])
                yield stream.partial() if partials else Result("", final=False)
            yield stream.finish()
            return
        mono = audio.resample(mono, sample_rate, rate)
        for _ in self.heard(mono, decoder):
            words = decoder.words() if partials else []
            yield Result(" ".join(word.text for word in words), words, len(mono) / rate, final=False)
        hypotheses = decoder.finish()
        best = hypotheses[0] if hypotheses else Hypothesis("", [], 0.0)
        yield Result(best.text, best.words, len(mono) / rate, True, hypotheses[1:])

    def require_frame(self, samples: int, sample_rate: int) -> None:
        """Refuse a recording in which nothing could be heard.

        Raises:
            AudioError: so many samples are empty, or shorter than a frame.
        """
        rate, window = self.bundle.sample_rate, self.bundle.manifest["window"]
        seconds = samples / max(sample_rate, 1)
        if round(seconds * rate) < window:
            raise AudioError(
                f"The recording lasts {seconds:.3f} s, less than one frame of {window / rate:.3f} s: there is nothing "
                "to transcribe."
            )

    def transcribe_file(self, path: str | os.PathLike[str], decoder: Decoder | None = None) -> Result:
        """Transcribe a recording from a file.

        Raises:
            AudioError: it cannot be read, or holds nothing to transcribe.
        """
        samples, rate = audio.read(path)
        try:
            return self.transcribe(samples, rate, decoder)
        except AudioError as error:
            raise AudioError(audio.named(error, path)) from None


def last(results: Iterable[Result]) -> Result:
    """The last of some results, which keeps none of the others."""
    return deque(results, maxlen=1)[0]
