"""The weights of a language model, found on log-probabilities that are computed once."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from experiments.lm import LmError
from heyjetson import Engine
from heyjetson.decoding.beam import BeamOptions
from heyjetson.decoding.factory import make_decoder
from heyjetson.decoding.greedy import GreedyDecoder
from heyjetson.decoding.hypothesis import Decoder, Hypothesis, Word
from heyjetson.decoding.priors import Priors
from heyjetson.decoding.scorer import Scorer
from heyjetson.loudness import Loudness
from heyjetson.metrics import Errors, character_errors, pooled, word_errors
from manifests import Utterance
from manifests.convert import naming, sound_of
from manifests.progress import progress

LOOKED_FOR = {"alpha": (0.0, 2.5), "beta": (-3.0, 5.0), "prior_scale": (0.0, 0.8)}
FIRST = ((0.3, 0.5, 0.0), (0.6, 1.0, 0.0), (1.0, 1.5, 0.3), (1.3, 0.5, 0.5))  # tried before anything is known


@dataclass(frozen=True)
class Emissions:
    """What the acoustic model said of one utterance.

    Args:
        reference: the transcript.
        pieces: [T, V + 1] each; long recordings are several.
    """

    reference: str
    pieces: Sequence[np.ndarray]


class Recorder:
    """A decoder that only keeps the frames."""

    def __init__(self) -> None:
        self.pieces: list[list[np.ndarray]] = []

    def reset(self, offset: float = 0.0, sound: Loudness | None = None) -> None:
        """Begin a piece."""
        self.pieces.append([])

    def feed(self, log_probs: np.ndarray) -> None:
        """Keep frames, [T, V + 1]."""
        self.pieces[-1].append(np.array(log_probs, np.float32))

    def words(self) -> list[Word]:
        """None."""
        return []

    def finish(self) -> list[Hypothesis]:
        """None."""
        return []


def emissions(engine: Engine, utterances: Sequence[Utterance], channels: str = "mix") -> list[Emissions]:
    """Run the acoustic model on all utterances.

    Args:
        engine: of the model.
        utterances: of a manifest.
        channels: of recordings that have several; see `heyjetson.audio.to_mono`.
    """
    kept = []
    for utterance in progress(utterances, "running the acoustic model", len(utterances)):
        recorder = Recorder()
        rate = engine.bundle.sample_rate
        sound = sound_of(utterance, rate, channels)
        with naming(utterance.audio):
            engine.transcribe(sound, rate, recorder)
        kept.append(Emissions(utterance.text, [np.concatenate(piece) for piece in recorder.pieces if piece]))
    return kept


def decode(decoder: Decoder, spoken: Emissions) -> str:
    """Text of one utterance."""
    texts = []
    for piece in spoken.pieces:
        decoder.reset()
        decoder.feed(piece)
        texts.append(decoder.finish()[0].text)
    return " ".join(" ".join(texts).split())


@dataclass(frozen=True)
class Rates:
    """Errors of a set.

    Args:
        words: word errors.
        characters: character errors.
    """

    words: Errors
    characters: Errors


def rates(decoder: Decoder, spoken: Sequence[Emissions]) -> Rates:
    """Decode a set and count its errors."""
    texts = [decode(decoder, utterance) for utterance in spoken]
    pairs = [(utterance.reference, text) for utterance, text in zip(spoken, texts, strict=True)]
    return Rates(pooled(word_errors(*pair) for pair in pairs), pooled(character_errors(*pair) for pair in pairs))


@dataclass(frozen=True)
class Tuned:
    """Found weights.

    Args:
        alpha: weight of the language model.
        beta: added for each word.
        priors: of the model's outputs, and how much they count; None where they shall not.
        before: errors of greedy decoding.
        after: errors with the language model.
    """

    alpha: float
    beta: float
    priors: Priors | None
    before: Rates
    after: Rates


@dataclass(frozen=True)
class Output:
    """What the columns of the log-probabilities are.

    Args:
        labels: V characters.
        blank_id: column of the blank.
        frame_seconds: seconds between rows.
    """

    labels: Sequence[str]
    blank_id: int
    frame_seconds: float


def tune(
    spoken: Sequence[Emissions],
    scorer: Path,
    output: Output,
    beam_size: int,
    trials: int,
    seed: int = 0,
    with_priors: bool = True,
) -> Tuned:
    """Look for the weights with the fewest word errors, then the fewest character errors (Optuna's TPE).

    Weights that are worse than most after a quarter of the utterances are given up.

    Args:
        spoken: utterances that the language model was not made from.
        scorer: file with any weights.
        output: of the acoustic model.
        beam_size: texts kept after each frame.
        trials: weights to try.
        seed: of the search.
        with_priors: look for their scale, too.

    Raises:
        LmError: there is nothing to tune on.
    """
    import optuna

    if not any(utterance.reference.split() for utterance in spoken):
        raise LmError("The manifest has no transcript with a word, so there is no word error rate to lower.")
    opened = Scorer.open(scorer, output.labels)
    opened.priors = priors = Priors.estimate((piece for said in spoken for piece in said.pieces), output.blank_id)
    before = rates(GreedyDecoder(output.labels, output.blank_id, output.frame_seconds), spoken)
    looked_for = {name: LOOKED_FOR[name] for name in LOOKED_FOR if with_priors or name != "prior_scale"}
    found: dict[int, Rates] = {}

    def search(**weights: float) -> Decoder:
        options = replace(BeamOptions(beam_size), **weights)  # type: ignore[arg-type]
        return make_decoder(output.labels, output.blank_id, output.frame_seconds, scorer=opened, options=options)

    def loss(trial: optuna.Trial) -> float:
        weights = {name: trial.suggest_float(name, *between) for name, between in looked_for.items()}
        decoder, total = search(**weights), Rates(Errors(), Errors())
        for quarter in range(4):
            part = rates(decoder, spoken[quarter::4])
            total = Rates(total.words + part.words, total.characters + part.characters)
            trial.report(total.words.rate, quarter)
            if trial.should_prune():
                raise optuna.TrialPruned
        found[trial.number] = total
        # Between equal word errors characters decide, and smaller priors, which write less where nobody speaks.
        return total.words.rate + 1e-3 * (total.characters.rate + weights.get("prior_scale", 0.0))

    optuna.logging.set_verbosity(logging.WARNING)
    pruner = optuna.pruners.MedianPruner(n_startup_trials=len(FIRST))
    study = optuna.create_study(sampler=optuna.samplers.TPESampler(seed=seed), pruner=pruner)
    for known in FIRST:
        study.enqueue_trial(dict(zip(looked_for, known, strict=False)))
    for _ in progress(range(trials), "trying weights", trials):
        study.optimize(loss, n_trials=1)
    best = study.best_trial
    alpha, beta, scale = (round(best.params.get(name, 0.0), 3) for name in LOOKED_FOR)
    after = found[best.number]
    if scale:
        without = rates(search(alpha=alpha, beta=beta, prior_scale=0.0), spoken)
        if without.words.rate > after.words.rate:
            return Tuned(alpha, beta, replace(priors, scale=scale), before, after)
        after = without
    return Tuned(alpha, beta, None, before, after)
