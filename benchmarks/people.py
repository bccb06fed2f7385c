"""People never heard, and sentences never seen: bundles beside whisper-tiny.en, on the same clips.

    python benchmarks/people.py bundles/people --test data/people/test.jsonl --seen data/people/train.jsonl
    python benchmarks/people.py bundles/people --test data/people/test.jsonl --seen data/people/train.jsonl \\
        --groups data/speechocean/test/spk2group --keep whisper.json         # adults and children apart
    python benchmarks/people.py bundles/digits --test data/digits/test_unseen.jsonl --digits     # all are digits

Each bundle transcribes greedily, unless it writes sounds, and with the language model that is in it; whisper-tiny.en
where faster-whisper is installed. Prints the rows of benchmarks/RESULTS.md: WER with its 95 % interval, the difference
from whisper-tiny.en with the p-value of the matched-pair test, and what each costs on one core. Speakers are what is
drawn where the manifest names several. Times are this process's own, taken by turns, so other work on the machine
changes them little.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from benchmarks import whisper  # noqa: E402
from experiments.evaluation.evaluate import evaluate_bundle  # noqa: E402
from experiments.evaluation.report import Row, make_row  # noqa: E402
from heyjetson import Bundle, Engine  # noqa: E402
from heyjetson.measure import Start, start_up  # noqa: E402
from heyjetson.metrics import pooled, word_errors  # noqa: E402
from heyjetson.significance import difference, wer_interval  # noqa: E402
from manifests import ManifestError, Utterance, read_manifest, write_manifest  # noqa: E402
from manifests.convert import sound_of  # noqa: E402
from manifests.progress import progress  # noqa: E402
from manifests.text import Normaliser  # noqa: E402

EVERY = 10  # clips after which what whisper wrote is kept
ALL = "all"
Systems = dict[str, list[Row]]


def unseen(test: Sequence[Utterance], seen: Sequence[Path]) -> list[Utterance]:
    """Utterances whose sentence none of some manifests has.

    Raises:
        ManifestError: there is none.
    """
    texts = {line.text for path in seen for line in read_manifest(path)}
    left = [line for line in test if line.text not in texts]
    if not left:
        raise ManifestError("All sentences of --test stand in --seen too: there is nothing to measure.")
    return left


def groups_of(path: Path | None) -> dict[str, str]:
    """The group of each speaker, from lines `SPEAKER GROUP`.

    Raises:
        ManifestError: the file is missing, or a line is another.
    """
    if path is None:
        return {}
    if not path.is_file():
        raise ManifestError(f"{path} does not exist. Correct --groups.")
    found = {}
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        if len(words := line.split()) != 2:
            raise ManifestError(f"{path}:{number}: expected `SPEAKER GROUP`, found {line!r:.60}.")
        found[words[0]] = words[1]
    return found


def by_whisper(utterances: Sequence[Utterance], keep: Path | None, digits: bool = False) -> list[Row]:
    """What whisper-tiny.en makes of utterances, which may all be digits; what it wrote before is taken from `keep`."""
    kept, transcribe, normalise = whisper.Kept(keep), None, Normaliser()
    for number, line in enumerate(progress(utterances, f"testing {whisper.NAME}", len(utterances))):
        name = f"{line.audio}@{line.offset or 0}"
        if name not in kept.texts:
            transcribe = transcribe or whisper.open_whisper()
            kept.texts[name] = transcribe(sound_of(line, whisper.RATE))
        if number % EVERY == EVERY - 1:
            kept.write()
    kept.write()
    return [
        make_row(line, whisper.in_words(kept.texts[f"{line.audio}@{line.offset or 0}"], normalise, digits))
        for line in utterances
    ]


def by_bundle(folder: Path, utterances: Sequence[Utterance], written: Path) -> Systems:
    """What a bundle makes of the utterances: greedily, and with its language model where it has one."""
    write_manifest(written, utterances)
    return {name: evaluate_bundle(folder, written, scorer=scorer).rows for name, scorer in decodings(folder).items()}


def decodings(folder: Path) -> dict[str, str | None]:
    """How a bundle is asked, and the scorer of each: what writes sounds has words by its language model alone."""
    bundle = Bundle(folder)
    greedy: dict[str, str | None] = {} if bundle.writes_sounds else {f"{folder.name}, greedy": None}
    return greedy | ({f"{folder.name}, language model": "bundle"} if bundle.scorer else {})


def speakers_of(rows: Sequence[Row]) -> list[str] | None:
    """Who says each, to be drawn as a whole; None, and utterances are drawn, where that is one alone or not known."""
    speakers = [row.speaker or "" for row in rows]
    return speakers if all(speakers) and len(set(speakers)) > 1 else None


def rates(systems: Systems, groups: dict[str, str]) -> list[str]:
    """Rows of the table of error rates, a column for all and for each group."""
    names = [ALL, *sorted({groups[row.speaker] for row in next(iter(systems.values())) if row.speaker in groups})]
    lines = [f"| | {' | '.join(f'WER, {name}' for name in names)} | CER, {ALL} |", "|" + "---|" * (len(names) + 2)]
    for system, rows in systems.items():
        cells = []
        for name in names:
            some = [row for row in rows if name == ALL or groups.get(row.speaker or "") == name]
            errors, words = [row.word_errors for row in some], [row.words for row in some]
            cells.append(str(wer_interval(errors, words, groups=speakers_of(some))))
        characters = sum(row.character_errors for row in rows) / max(sum(row.characters for row in rows), 1)
        lines.append(f"| {' | '.join([system, *cells, f'{characters:.1%}'])} |")
    return lines


def differences(systems: Systems, peer: str) -> list[str]:
    """Rows of the table of differences from a peer."""
    lines = [f"| less {peer} | points of WER | 95 % | p |", "|---|---|---|---|"]
    theirs = systems[peer]
    for system, rows in systems.items():
        if system == peer:
            continue
        errors = [[row.word_errors for row in one] for one in (theirs, rows)]
        found = difference(*errors, [row.words for row in rows], groups=speakers_of(rows))
        interval = f"{found.low * 100:+.1f} to {found.high * 100:+.1f}"
        lines.append(f"| {system} | {found.delta * 100:+.1f} | {interval} | {found.p_value:.2g} |")
    return lines


def kinds(systems: Systems) -> list[str]:
    """Rows of the table of what kind of errors they are."""
    lines = ["| | substituted | left out | put in |", "|---|---|---|---|"]
    for system, rows in systems.items():
        found = pooled(word_errors(row.reference, row.hypothesis) for row in rows)
        shares = [count / found.total for count in (found.substitutions, found.deletions, found.insertions)]
        lines.append(f"| {system} | {' | '.join(f'{share:.1%}' for share in shares)} |")
    return lines


def _transcribed(engine: Engine, decoder: Any, clip: np.ndarray) -> object:
    return engine.transcribe(clip, whisper.RATE, decoder)


def costs(bundles: Sequence[Path], clips: Sequence[np.ndarray], peer: bool) -> list[str]:
    """Rows of the table of what each costs: real-time factors by turns, in this process's own time.

    Args:
        bundles: of ours, at 16 kHz.
        clips: [S] each.
        peer: whether whisper is here.
    """
    heard: dict[str, Callable[[np.ndarray], object]] = {}
    facts: dict[str, tuple[float, Start | None]] = {}
    for folder in bundles:
        engine, begun_by = Engine(Bundle(folder)), start_up(folder)
        for name, scorer in decodings(folder).items():
            decoder = engine.decoder(scorer)
            heard[name] = partial(_transcribed, engine, decoder)
            size = engine.bundle.graph.stat().st_size / 1e6
            if scorer:  # what a start costs is measured without it
                facts[name] = (size + (folder / "scorer").stat().st_size / 1e6, None)
            else:
                facts[name] = (size, begun_by)
    if peer:
        heard[whisper.NAME] = whisper.open_whisper()
        facts[whisper.NAME] = (whisper.size(), whisper.start_up())
    spent = dict.fromkeys(heard, 0.0)
    for clip in [clips[0], *clips]:  # the first warms up
        for name, transcribe in heard.items():
            started = time.process_time()
            transcribe(clip)
            spent[name] += time.process_time() - started if clip is not clips[0] else 0.0
    seconds = sum(len(clip) for clip in clips[1:]) / whisper.RATE
    lines = ["| one core | MB | real-time factor | load, s | first result, s | peak MiB |", "|" + "---|" * 6]
    for name, (size, start) in facts.items():
        begun = f"{start.loaded:.2f} | {start.first:.2f} | {start.peak:.0f}" if start else "– | – | –"
        lines.append(f"| {name} | {size:.1f} | {spent[name] / seconds:.4f} | {begun} |")
    return lines


def main() -> None:
    """Measure and print Markdown tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("bundles", nargs="*", type=Path, help="of models; whisper-tiny.en alone without any")
    parser.add_argument("--test", type=Path, required=True, help="manifest of the people that were kept apart")
    parser.add_argument("--seen", type=Path, action="append", default=[], help="manifest whose sentences are left out")
    parser.add_argument(
        "--groups", type=Path, help="lines `SPEAKER GROUP`, as Kaldi's spk2group or spk2gender has them"
    )
    parser.add_argument("--clips", type=int, help="so many of them, drawn; more hold the fewer (default: all)")
    parser.add_argument(
        "--digits", action="store_true", help="all that is said are digits: figures of whisper's are read one by one"
    )
    parser.add_argument("--keep", type=Path, help="file for what whisper writes, which is not heard twice")
    parser.add_argument("--timed", type=int, default=20, help="clips that are timed; 0 for none (default 20)")
    given = parser.parse_args()
    try:
        groups = groups_of(given.groups)
        utterances = unseen(read_manifest(given.test), given.seen)
    except ManifestError as error:
        sys.exit(f"\nError: {error}")
    if given.clips and given.clips < len(utterances):
        drawn = np.random.default_rng(0).permutation(len(utterances))[: given.clips]
        utterances = [utterances[index] for index in drawn]
    systems: Systems = {}
    with tempfile.TemporaryDirectory() as temporary:
        for folder in given.bundles:
            systems |= by_bundle(folder, utterances, Path(temporary, f"{folder.name}.jsonl"))
    if whisper.installed():
        systems[whisper.NAME] = by_whisper(utterances, given.keep, given.digits)
    else:
        print(whisper.ABSENT)
    if not systems:
        sys.exit("There is nothing to measure: name a bundle.")
    speakers = len({line.extra.get("speaker") for line in utterances})
    words = sum(len(line.text.split()) for line in utterances)
    print(f"\n{len(utterances):,} clips, {words:,} words, {speakers} speakers\n")
    print("\n".join(rates(systems, groups)) + "\n")
    print("\n".join(kinds(systems)) + "\n")
    if whisper.NAME in systems and len(systems) > 1:
        print("\n".join(differences(systems, whisper.NAME)) + "\n")
    if given.timed:
        rng = np.random.default_rng(0)
        timed = rng.choice(len(utterances), min(given.timed + 1, len(utterances)), replace=False)
        clips = [sound_of(utterances[index], whisper.RATE) for index in timed]
        print("\n".join(costs(given.bundles, clips, whisper.installed())))


if __name__ == "__main__":
    main()
