"""The command `python -m experiments.lm`."""

from __future__ import annotations

import argparse
import functools
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

from experiments.lm import LmError
from heyjetson.arguments import Parser
from heyjetson.decoding import core
from heyjetson.errors import HeyJetsonError, refused_by_system
from manifests import ManifestError
from manifests.commands import add
from manifests.show import typed
from manifests.text import LABELS


def _train(given: argparse.Namespace) -> int:
    from experiments.lm.arpa import write_arpa, write_facts
    from experiments.lm.mixture import mixture
    from experiments.lm.perplexity import perplexity
    from experiments.lm.texts import as_pronounced, pronunciations, read_texts, tokens

    if not given.manifests and not given.text:
        raise LmError("There is nothing to learn from. Name manifests, or give --text FILE.")
    if given.phones and (given.unit != "word" or given.language != "en" or given.labels != LABELS):
        raise LmError("--phones is for words of English in the default labels: leave out --unit, --language, --labels.")
    sentences, sources, left_out = read_texts(given.manifests, given.text, given.labels, given.language)
    text = [*(0 for _ in given.manifests), *range(1, 1 + len(given.text))]  # transcripts are one
    place = np.repeat(text, [source.sentences for source in sources])
    said = None
    if given.phones:
        written = sentences
        sentences, kept = as_pronounced(written)
        said = pronunciations([written[number] for number in kept])
        left_out += len(written) - len(kept)
        place = place[kept]
    split = [tokens(sentence, given.unit) for sentence in sentences]
    model, weights = mixture(split, place, given.order)
    given.out.parent.mkdir(parents=True, exist_ok=True)
    write_arpa(given.out, model)
    names = ["all together", "transcripts", *map(str, given.text)]
    shares = {name: round(float(share), 3) for name, share in zip(names, weights, strict=False) if share}
    if weights[0] == 1:  # nothing was mixed
        shares = {}
    write_facts(given.out, given.unit, given.order, sources, shares, said)
    table = Table("order", "n-grams", "discounts of 1, 2, 3 and more", title=f"{given.unit} model {given.out}")
    for n, order in enumerate(model.orders, 1):
        shown = ", ".join(f"{discount:.2f}" for discount in order.discounts)
        table.add_row(str(n), f"{len(order.token):,}", shown + (" (fixed: too little text)" if order.fell_back else ""))
    Console().print(table)
    words = sum(len(sentence.split()) for sentence in sentences)
    print(f"texts       {len(sentences):,} sentences, {words:,} words; {left_out:,} lines left out")
    if shares:
        print(f"mixture     {', '.join(f'{name} {share:.2f}' for name, share in shares.items())}")
    if given.held_out:
        unseen, _, _ = read_texts([given.held_out], [], given.labels)
        if given.phones:
            unseen = as_pronounced(unseen)[0]
        measured = perplexity(
            given.out, given.order, model.vocabulary[3:], [tokens(sentence, given.unit) for sentence in unseen]
        )
        unknown = measured.unknown / max(measured.tokens, 1)
        print(f"perplexity  {measured.value:.1f} on {given.held_out}, {unknown:.2%} unknown {given.unit}s")
    print(f"next        python -m experiments.lm tune BUNDLE VALIDATION.jsonl --lm {typed(given.out)}")
    return 0


def _opened(given: argparse.Namespace, labels: Sequence[str]) -> Any:
    from experiments.lm.pack import open_model

    model = open_model(given.lm, labels, given.unit, given.order, given.words)
    if model.left_out:
        some = ", ".join(model.left_out[:5])
        print(f"{len(model.left_out):,} words have characters outside the labels and are left out: {some}, ...")
    if model.mapped is None and core.library():
        print(f"{given.lm} is a trie, which numpy searches, 40 times slower. Better: `build_binary probing` of KenLM.")
    return model


def _pack(given: argparse.Namespace) -> int:
    from experiments.lm.pack import pack
    from heyjetson import Bundle

    labels = Bundle(given.labels_from).labels
    model = _opened(given, labels)
    pack(model, labels, given.out, given.alpha, given.beta, given.beam)
    size = given.out.stat().st_size / 1e6
    words = f", {len(model.words):,} words" if model.words else ""
    print(f"{given.out}: {model.unit} model of order {model.order}{words}, {size:.1f} MB")
    print("The weights are not tuned: `python -m experiments.lm tune` finds them.")
    return 0


def _tune(given: argparse.Namespace) -> int:
    from experiments.evaluation.evaluate import channels_of
    from experiments.lm.pack import pack, put_into_bundle
    from experiments.lm.tune import Output, emissions, tune
    from heyjetson import Bundle, Engine
    from manifests import read_manifest

    bundle = Bundle(given.bundle)
    utterances = read_manifest(given.manifest)[: given.utterances]
    model = _opened(given, bundle.labels)
    channels = channels_of(bundle.manifest.get("training") or {}, given.channels)
    output = Output(bundle.labels, bundle.blank_id, bundle.frame_seconds)
    with tempfile.TemporaryDirectory() as folder:
        scorer = Path(folder) / "scorer"
        pack(model, bundle.labels, scorer, 0.5, 0.0, given.beam)
        spoken = emissions(Engine(bundle), utterances, channels)
        tuned = tune(spoken, scorer, output, given.beam, given.trials)
    table = Table("decoding", "WER", "CER", title=f"{len(utterances)} utterances of {given.manifest}")
    found_by = {"greedy": tuned.before, "with the language model": tuned.after}
    if model.pronunciations:  # without it the model writes no words
        del found_by["greedy"]
    for name, found in found_by.items():
        table.add_row(name, f"{found.words.rate:.2%}", f"{found.characters.rate:.2%}")
    Console().print(table)
    scale = tuned.priors.scale if tuned.priors else 0.0
    print(f"alpha {tuned.alpha:g}, beta {tuned.beta:g}, prior_scale {scale:g}, beam {given.beam}")
    if tuned.after.words.rate >= tuned.before.words.rate and not given.anyway:
        raise LmError(
            "The language model does not lower the word error rate here, so the bundle stays as it is. Make one from "
            "texts like those that will be spoken, or give --anyway."
        )
    measured = {
        "utterances": len(utterances),
        **({} if model.pronunciations else {"greedy_wer": round(tuned.before.words.rate, 5)}),
        "wer": round(tuned.after.words.rate, 5),
    }
    put_into_bundle(bundle, model, tuned.alpha, tuned.beta, given.beam, measured, tuned.priors)
    print(f"{bundle.folder / 'scorer'} written and named in the bundle's manifest")
    return 0


def _model_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--lm", type=Path, required=True, help="ARPA file, or binary of KenLM's build_binary (probing)")
    parser.add_argument(
        "--unit", choices=("word", "character"), help="what it has probabilities of (default: found out from the file)"
    )
    parser.add_argument("--order", type=int, help="of a trie of KenLM's; other files tell it")
    parser.add_argument("--words", type=Path, help="a word a line; of a trie of KenLM's, or to allow fewer")
    parser.add_argument("--beam", type=int, default=64, help="texts kept after each frame (default 64)")


_add = functools.partial(add, program="python -m experiments.lm")


def parser() -> argparse.ArgumentParser:
    """The command line."""
    main = Parser(
        prog="python -m experiments.lm",
        description="A language model for a bundle: estimate it, pack it, tune its weights.",
        epilog="examples:\n  python -m experiments.lm train data/synthetic/train.jsonl --out lm.arpa\n"
        "  python -m experiments.lm tune bundles/synthetic data/synthetic/validation.jsonl --lm lm.arpa",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = main.add_subparsers(required=True, metavar="COMMAND")
    one = _add(commands, "train", _train, "estimate an n-gram model from transcripts and texts",
               ["data/synthetic/train.jsonl --out lm.arpa", "train.jsonl --text book.txt --order 4 --out lm.arpa",
                "train.jsonl --unit character --order 6 --out letters.arpa",
                "train.jsonl --text book.txt --phones --out sounds.arpa"])  # fmt: skip
    one.add_argument("manifests", type=Path, nargs="*", metavar="MANIFEST", help="whose transcripts are learnt from")
    one.add_argument("--text", type=Path, action="append", default=[], help="a sentence a line, or a book; repeatable")
    one.add_argument("--order", type=int, choices=range(2, 7), default=3, help="longest n-gram (default 3)")
    one.add_argument("--unit", choices=("word", "character"), default="word",
                     help="word: only known words are written; character: any are (default word)")  # fmt: skip
    one.add_argument("--phones", action="store_true",
                     help="of words as they are pronounced, for models that write sounds")  # fmt: skip
    one.add_argument("--labels", default=LABELS, help="characters a sentence may have (default a-z, space, ')")
    one.add_argument("--language", default="en", help="of numbers in --text, as num2words calls it (default en)")
    one.add_argument("--held-out", type=Path, metavar="MANIFEST", help="also print the perplexity on it")
    one.add_argument("--out", type=Path, required=True, help="ARPA file to write; OUT.json tells what it is made from")
    one = _add(commands, "pack", _pack, "make a scorer file of a language model, with untuned weights",
               ["--lm lm.arpa --labels-from bundles/synthetic --out scorer",
                "--lm lm.binary --labels-from bundles/mine --out scorer"])  # fmt: skip
    _model_options(one)
    one.add_argument("--labels-from", type=Path, required=True, metavar="BUNDLE", help="the scorer fits these labels")
    one.add_argument("--alpha", type=float, default=0.5, help="weight of the language model (default 0.5)")
    one.add_argument("--beta", type=float, default=1.0, help="added for each word (default 1)")
    one.add_argument("--out", type=Path, required=True, help="file to write")
    one = _add(commands, "tune", _tune, "find the weights on a validation set and put the scorer into the bundle",
               ["bundles/synthetic data/synthetic/validation.jsonl --lm lm.arpa",
                "bundles/mine validation.jsonl --lm lm.arpa --trials 100 --beam 32"])  # fmt: skip
    one.add_argument("bundle", type=Path, help="folder that export.py made")
    one.add_argument("manifest", type=Path, help="not one that the language model was made from, nor the test set")
    _model_options(one)
    one.add_argument("--trials", type=int, default=60, help="weights to try (default 60)")
    one.add_argument("--channels", metavar="mix|first|second|N",
                     help="of recordings that have several (default: as the model was trained)")  # fmt: skip
    one.add_argument("--utterances", type=int, default=500, help="use the first ones only (default 500)")
    one.add_argument("--anyway", action="store_true", help="also where the word error rate is not lowered")
    return main


def main(arguments: Sequence[str] | None = None) -> int:
    """Entry point; returns the exit status: 0 good, 1 something is wrong, 2 wrong usage."""
    given = parser().parse_args(arguments)
    try:
        return given.run(given)
    except (LmError, ManifestError, HeyJetsonError) as error:
        print(f"\nError: {error}", file=sys.stderr)
        return 1
    except OSError as error:
        if (said := refused_by_system(error)) is None:
            raise
        print(f"\nError: {said}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\nInterrupted; nothing was written.", file=sys.stderr)
        return 130


if __name__ == "__main__":
    sys.exit(main())
