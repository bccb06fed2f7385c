"""Speech as it is spoken: feed, partial, finish."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from heyjetson.audio import to_mono
from heyjetson.bundle import Bundle
from heyjetson.decoding.hypothesis import Decoder, Hypothesis, Result, Word
from heyjetson.endpoint import NOTHING_SAID, TOO_LONG, Endpointer, EndpointRules, EnergyGate
from heyjetson.errors import AudioError, StreamError
from heyjetson.frames import FrameStream
from heyjetson.loudness import Loudness
from heyjetson.together import Work, alone
from heyjetson.waiting import Waiting


class Stream:
    """One speaker's stream: cheap, independent of others, of bounded memory. Made by `Engine.stream`.

    Without endpoint rules everything that is fed is one utterance, and its text is that of the whole clip, to the last
    word. With them `feed` returns each utterance as it ends. Not to be fed from two threads at once.

    Args:
        bundle: whose model runs.
        session: of its graph, with onnxruntime's `run(outputs, feed)`.
        decoder: of this stream alone.
        sample_rate: hertz of what will be fed.
        rules: end utterances by themselves; None never does.
    """

    def __init__(
        self, bundle: Bundle, session: Any, decoder: Decoder, sample_rate: int, rules: EndpointRules | None = None
    ):
        if sample_rate <= 0:
            raise AudioError(f"The sample rate must be positive, found {sample_rate}.")
        self.rate = bundle.sample_rate
        self.input_rate = sample_rate
        self.decoder = decoder
        self.rules = rules
        self.frame_seconds = bundle.frame_seconds
        self._frame = bundle.manifest["hop"] * bundle.manifest["subsampling_factor"]  # samples
        self._lookahead = bundle.manifest["lookahead_frames"]
        # After an utterance the model begins anew in the past: what its last step saw beyond the end is heard again.
        self._late = (bundle.manifest["chunk_frames"] + self._lookahead) * self._frame
        self._onset = 0
        self._frames = FrameStream(bundle, session)
        self._remember()
        self._waiting = Waiting()
        self._sound = Loudness(self.rate, bundle.ahead)
        self._calibration = bundle.calibration
        columns = [*bundle.labels[: bundle.blank_id], "", *bundle.labels[bundle.blank_id :]]
        space = columns.index(" ") if " " in columns else None
        self._endpointer = Endpointer(rules, bundle.blank_id, space, self.frame_seconds) if rules else None
        self.reset()

    def reset(self) -> None:
        """Forget everything that was fed."""
        self._resampler = None
        if self.input_rate != self.rate:
            import soxr

            self._resampler = soxr.ResampleStream(self.input_rate, self.rate, 1, "float32")
        self._frames.reset()
        self._sound.reset()
        self._unheard: list[np.ndarray] = []  # what its levels are not known of yet
        self._said: tuple[str, list[Word]] | None = None  # the text and the words of `partial`, until there are frames
        self.decoder.reset(0.0, self._sound)
        if self._endpointer:
            self._endpointer.reset()
        decibels = self.rules.gate if self.rules else None
        self._gate = None if decibels is None else EnergyGate(decibels, self._frames.shift / self.rate)
        self._idle = False  # between utterances; not at the beginning, where the background is not known
        self._waiting.clear()
        self._fed = 0
        self._begun = 0.0  # seconds at which the running utterance begins
        self._finished = self._closed = False

    @property
    def seconds(self) -> float:
        """How much has been fed."""
        return self._fed / self.input_rate

    def change_rules(self, rules: EndpointRules) -> None:
        """End utterances by other rules from the next frame on; the gate stays as it was made.

        Raises:
            StreamError: the stream was made without rules.
        """
        if self.rules is None or self._endpointer is None:
            raise StreamError("The stream was made without endpoint rules: make another one with them.")
        self.rules = replace(rules, gate=self.rules.gate)
        self._endpointer.change(self.rules)
        self._remember()

    def _remember(self) -> None:
        """Keep as much of the past as an utterance may begin in."""
        self._onset = round(self.rules.onset * self.rate) if self.rules else 0
        self._frames.remember(self._onset + self._late)

    def feed(self, samples: np.ndarray) -> list[Result]:
        """Take the next samples, any number of them.

        Args:
            samples: [S] or [S, channels], int16 or float within [-1, 1].

        Returns:
            the utterances that ended; always none without endpoint rules.

        Raises:
            AudioError: wrong shape, or values that are not numbers; the stream goes on without these samples.
            StreamError: the stream is finished, or the graph failed, which the next call says where utterances ended:
                the stream goes on without the sound of that step, and its time with it.
        """
        if self._waiting.keeps(samples):
            self._fed += len(samples)
            return []
        return alone(self.feeding(samples))

    def feeding(self, samples: np.ndarray) -> Work[list[Result]]:
        """As `feed`, for one who runs the steps: see `heyjetson.together`."""
        self._take(samples)
        ended = [] if self._frames.missing else (yield from self._run())
        self._let_wait()
        if not ended:
            self._frames.tell()
        return ended

    def _take(self, samples: np.ndarray) -> None:
        if self._finished:
            raise StreamError("The stream is finished: call reset() before feeding it again.")
        mono = to_mono(self._waiting.joined(samples) if isinstance(samples, np.ndarray) else samples)
        self._fed += len(samples)
        self._push_waiting()
        self._push(mono)

    @property
    def missing(self) -> int:
        """About how many samples must be fed before anything new can be understood."""
        if self._waiting.room:
            return self._waiting.room
        return -(-self._frames.missing * self.input_rate // self.rate)

    def _let_wait(self) -> None:
        """Let pieces wait until there is a step; with a resampler none, since what it holds back is not known."""
        self._waiting.room = 0 if self._resampler else self._frames.missing

    def _push_waiting(self) -> None:
        for waiting in self._waiting.take():
            self._push(to_mono(waiting))

    def _push(self, samples: np.ndarray, last: bool = False) -> None:
        """Take samples [S] at the input's rate."""
        if self._resampler:
            samples = self._resampler.resample_chunk(samples, last=last)
        self._frames.push(samples)
        if self._calibration:
            self._unheard.append(samples.copy())

    def _hear(self) -> None:
        """Let the levels of what was pushed be known; they are asked for with new frames only."""
        if self._unheard:
            self._sound.hear(np.concatenate(self._unheard))
            self._unheard.clear()

    def _run(self) -> Work[list[Result]]:
        self._hear()
        ended: list[Result] = []
        while (waiting := self._frames.waiting()) is not None:
            stands_out = self._gate is None or self._gate.is_open(waiting)
            if self._gate and self._idle:
                if not stands_out:
                    self._frames.skip()
                    self._sound.forget((self._frames.position - self._onset) / self.rate)
                    continue
                self._wake()
            step = self._frames.begin_step()
            if step is not None:
                ended += self._decode((yield step))
        return ended

    def _decode(self, log_probs: np.ndarray) -> list[Result]:
        """Give frames to the decoder, closing an utterance where a rule says so."""
        self._said = None
        if not self._endpointer:
            self.decoder.feed(log_probs)
            return []
        ended: list[Result] = []
        while len(log_probs):
            closing = self._endpointer.feed(log_probs)
            if closing is None:
                self.decoder.feed(log_probs)
                break
            count, rule = closing
            self.decoder.feed(log_probs[:count])
            if rule != TOO_LONG and self._goes_on():
                log_probs = log_probs[count:]
                continue
            result = self._close()
            if rule != NOTHING_SAID or result.text:
                ended.append(result)
            if rule == TOO_LONG:  # in the middle of speech: the model goes on, only the text is cut
                self._begun += self._endpointer.frames * self.frame_seconds
                self._restart()
                log_probs = log_probs[count:]
                continue
            self._begin(self._onset_after(result) + (self._lookahead + len(log_probs) - count) * self._frame)
            self._idle = True
            break
        return ended

    def _onset_after(self, result: Result) -> int:
        """Samples before the end of an utterance that the next one may begin: never so many that its last word is heard
        again, or, where there is none, the same silence without an end."""
        assert self._endpointer
        onset = min(self._onset, (self._endpointer.quiet - (not self._endpointer.spoken)) * self._frame)
        if not result.words:
            return onset
        now = self._begun + self._endpointer.frames * self.frame_seconds
        return min(onset, max(round((now - result.words[-1].end) * self.rate), 0))

    def _goes_on(self) -> bool:
        """Whether the decoder heard a word of late in what no frame alone is sure of, as hot words bring it out."""
        ends = self._endpointer
        assert ends
        if ends.frames >= ends.longest or not (words := self.decoder.words()):
            return False
        silence = self._begun + ends.frames * self.frame_seconds - words[-1].end
        return silence < (ends.silence - 0.5) * self.frame_seconds

    def _wake(self) -> None:
        """Compute again after the gate was closed; what was heard before is not heard again."""
        passed = self._frames.position - round(self._begun * self.rate)
        self._begin(min(self._onset, passed))
        self._idle = False

    def _begin(self, back: int) -> None:
        """Begin an utterance `back` samples before the next step."""
        self._begun = self._frames.rewind(back) / self.rate
        self._restart()

    def _restart(self) -> None:
        """Let the decoder begin the utterance; what was heard before it is not needed any more."""
        self._said = None
        self._sound.forget(self._begun)
        self.decoder.reset(self._begun, self._sound)
        if self._endpointer:
            self._endpointer.reset()

    def _close(self) -> Result:
        return self._result(self.decoder.finish(), final=True)

    def _result(self, hypotheses: list[Hypothesis], final: bool) -> Result:
        words = hypotheses[0].words if hypotheses else []
        text = hypotheses[0].text if hypotheses else ""
        return Result(text, words, self.seconds, final, hypotheses[1:])

    def partial(self) -> Result:
        """What has been understood of the running utterance; it may still change."""
        if self._said is None:  # between two steps nothing changes
            words = self.decoder.words()
            self._said = " ".join(word.text for word in words), words
        text, words = self._said
        return Result(text, list(words), self.seconds, final=False)

    def finish(self) -> Result:
        """End the stream: flush it by its own geometry and return the running utterance. Only `reset` may follow.

        The model hears as much quiet behind the end as its bundle says that it needs, at once.

        Raises:
            StreamError: it is finished already, or the graph failed: finish it again for what was understood.
        """
        if self._closed:
            raise StreamError("The stream is finished already: call reset() before using it again.")
        if not self._finished:
            self._flush()
        self._frames.tell()
        self._closed = True
        return self._close()

    def _flush(self) -> None:
        """Understand what is left."""
        self._push_waiting()
        if self._resampler:
            self._push(np.zeros(0, np.float32), last=True)
        if self._gate and self._idle:  # what is left was not looked at: a word may be in it
            self._wake()
        self._finished = True
        self._said = None
        self._hear()
        if self._calibration and self._frames.begun:
            self._frames.push(self._calibration.silence(self.rate))
        for log_probs in self._frames.finish():
            self.decoder.feed(log_probs)
