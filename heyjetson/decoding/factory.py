"""Which decoder a stream gets."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from heyjetson.calibration import Calibration
from heyjetson.decoding.greedy import GreedyDecoder
from heyjetson.decoding.hypothesis import Decoder, SentenceSearch
from heyjetson.decoding.pronunciations import SpelledDecoder
from heyjetson.decoding.sentences import SentenceDecoder
from heyjetson.errors import DecoderError

if TYPE_CHECKING:
    from heyjetson.decoding.beam import BeamOptions
    from heyjetson.decoding.scorer import Scorer


def make_decoder(
    labels: Sequence[str],
    blank_id: int,
    frame_seconds: float,
    *,
    scorer: Scorer | None = None,
    hot_words: Mapping[str, float] | None = None,
    n_best: int = 1,
    options: BeamOptions | None = None,
    calibration: Calibration | None = None,
) -> Decoder:
    """A decoder for one stream: the best path where nothing of a beam search is asked for, else that,
    compiled where the library is there.

    Args:
        labels: V characters.
        blank_id: column of the blank.
        frame_seconds: seconds between rows.
        scorer: language model.
        hot_words: words and phrases with what each adds to the score, in natural-log units.
        n_best: readings that `finish` returns at most.
        options: of the beam search, which they ask for by themselves; where None, the beam is as wide as the scorer was
            tuned for.
        calibration: of the model's word times; None leaves them raw.

    Raises:
        DecoderError: hot words cannot be written with the labels, or a library is missing.
    """
    if n_best < 1:
        raise DecoderError(f"n_best must be 1 or more, found {n_best}.")
    if scorer is None and not hot_words and n_best == 1 and options is None:
        return GreedyDecoder(labels, blank_id, frame_seconds, calibration)
    from heyjetson.decoding import core
    from heyjetson.decoding.beam import BeamDecoder, BeamOptions

    options = options or (BeamOptions(beam_size=scorer.beam_size) if scorer else BeamOptions())
    said = scorer.pronunciations if scorer else None
    searched = said.phrases(hot_words) if said and hot_words else hot_words
    asked = (labels, scorer, searched, options.alpha, options.beta)
    given = (options, n_best, calibration, scorer.priors_at(options.prior_scale) if scorer else None)

    def search() -> SentenceSearch:
        if core.library() and (scorer is None or scorer.mapped):
            from heyjetson.decoding.compiled import CompiledBeamDecoder
            from heyjetson.decoding.guide import Guide

            guide: Guide = Guide(*asked)  # type: ignore[arg-type]
            decoder: BeamDecoder = CompiledBeamDecoder(labels, blank_id, frame_seconds, guide, *given)  # type: ignore
        else:
            from heyjetson.decoding.fusion import FusionGraph

            decoder = BeamDecoder(labels, blank_id, frame_seconds, FusionGraph(*asked), *given)
        return SpelledDecoder(decoder, said, hot_words) if said else decoder

    return SentenceDecoder(search, labels, blank_id, frame_seconds, n_best) if scorer else search()
