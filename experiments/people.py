"""From recordings of people to a model for them: synthetic sentences first, then people, then a language model.

    python -m experiments.people CORPUS --texts talk.txt                 # CORPUS in Kaldi's layout
    python -m experiments.people data/mine --texts talk.txt --out data/me       # a folder that python -m manifests made
    python -m experiments.people CORPUS --texts talk.txt --minutes 120 60 threads=8      # overrides of both trainings
    python -m experiments.people CORPUS --texts talk.txt --phones --out data/phones             # sounds, not letters

Each step is a command that stands alone, and is shown. Steps that were finished in --out are not taken again, so what
was interrupted goes on by the same command; those of which the source, the texts, voices, minutes or overrides are
others now are, and what follows from them. docs/recipes.md says what each is for, and what to expect.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from experiments.cli.quickstart import run_in, step
from heyjetson.bundle import file_hash
from manifests import ManifestError, read_manifest
from manifests.lines import require_file
from manifests.whole import whole_file

PYTHON = sys.executable
MIXED, ALONE = "_mixed", ""  # behind the experiment's name
STATE = "recipe.json"
# What the recipe itself gives to train.py, by which it finds what was trained.
OWN = (
    "experiment", "name", "hydra.run.dir", "resume", "init_from", "data.train", "data.validation", "trainer.max_time",
)  # fmt: skip
MADE_OF = "made_of"  # its key for what each step was made of
Made = dict[str, Any]
# Where every second letter is unsure, more texts must be kept: 64, the default, write a point more of the words wrong.
BEAM = 256


@dataclass(frozen=True)
class Recipe:
    """What is made of what.

    Args:
        source: Kaldi's data directory, or a folder with train.jsonl, validation.jsonl and test.jsonl.
        texts: text files of any kind.
        out: folder for all that is made but runs.
        sentences: that synthetic voices speak.
        voices: which; see `python -m manifests synthetic --help`.
        minutes: of the training on synthetic voices and people together, and of that on people alone.
        held_out: share of the speakers that is kept for validation, where the corpus has no such set.
        phones: the models write sounds, and words come of them by the language model.
        overrides: of both trainings.
    """

    source: Path
    texts: Sequence[Path]
    out: Path
    sentences: int
    voices: str
    minutes: tuple[float, float]
    held_out: float
    phones: bool
    overrides: Sequence[str]

    @property
    def recordings(self) -> Path:
        """Folder with the manifests of people."""
        return self.source if (self.source / "train.jsonl").exists() else self.out / "recordings"

    def of(self, split: str) -> Path:
        """Manifest of people."""
        return self.recordings / f"{split}.jsonl"

    @property
    def experiment(self) -> str:
        """What is trained by."""
        return "people_phones" if self.phones else "people"

    @property
    def bundle(self) -> Path:
        """What is made in the end."""
        return self.out / "bundle"


def _state(recipe: Recipe) -> dict[str, Any]:
    path = recipe.out / STATE
    return json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}


def _keep(recipe: Recipe, **more: Any) -> None:
    with whole_file(recipe.out / STATE) as part:
        part.write_text(json.dumps(_state(recipe) | more, indent=1), encoding="utf-8")


def made_before(recipe: Recipe, name: str, made_of: Made, made: Path) -> bool:
    """Whether a step was finished, of the same things; where they are others now, that is said.

    Args:
        recipe: whose step.
        name: of the step.
        made_of: by name, what the step depends on.
        made: what it writes last.
    """
    if not made.exists():
        return False
    before = _state(recipe).get(MADE_OF, {}).get(name)
    if before is None or before == made_of:  # None: by a version that kept no record
        return True
    others = [key for key in made_of if before.get(key) != made_of[key]]
    print(f"\n== {name} again: {', '.join(others)} changed since {made} was made")
    return False


def keep_made(recipe: Recipe, name: str, made_of: Made) -> None:
    """Note what a finished step was made of."""
    _keep(recipe, **{MADE_OF: _state(recipe).get(MADE_OF, {}) | {name: made_of}})


def make_recordings(recipe: Recipe) -> None:
    """A Kaldi corpus becomes manifests, whose validation has speakers of its own."""
    made_of: Made = {"the corpus": str(recipe.source.absolute()), "--validation": recipe.held_out}
    if recipe.recordings != recipe.source and not made_before(recipe, "recordings", made_of, recipe.of("train")):
        given = (str(recipe.source), "--out", str(recipe.recordings), "--validation", str(recipe.held_out))
        step("people", PYTHON, "-m", "manifests", "kaldi", *given)
        keep_made(recipe, "recordings", made_of)
    for split in ("train", "validation", "test"):
        if not recipe.of(split).exists():
            raise ManifestError(
                f"{recipe.of(split)} does not exist: people for train, validation and test are needed. "
                "`python -m manifests split` divides a manifest by speaker."
            )


def make_texts(recipe: Recipe) -> None:
    """Sentences to speak, and to learn a language model from; those of validation and test stay unseen."""
    from manifests.broad_texts import choose

    for path in recipe.texts:
        require_file(path, "text")
    made_of: Made = {
        "--texts": [file_hash(path) for path in recipe.texts],
        "--sentences": recipe.sentences,
        "the transcripts": [file_hash(recipe.of(split)) for split in ("train", "validation", "test")],
    }
    if made_before(recipe, "texts", made_of, recipe.out / "spoken.txt"):
        return
    said = {split: [line.text for line in read_manifest(recipe.of(split))] for split in ("train", "validation", "test")}
    found = choose(said["train"], recipe.texts, {*said["validation"], *said["test"]}, recipe.sentences)
    recipe.out.mkdir(parents=True, exist_ok=True)
    for name, lines in (("written", found.written), ("spoken", found.spoken)):
        with whole_file(recipe.out / f"{name}.txt") as part:
            part.write_text("\n".join([*lines, ""]), encoding="utf-8")
    keep_made(recipe, "texts", made_of)
    print(f"\n== texts\n{len(found.written):,} sentences for the language model, {len(found.spoken):,} to be spoken")


def make_joined(recipe: Recipe) -> Path:
    """Synthetic voices and people in one manifest."""
    spoken, joined = recipe.out / "synthetic", recipe.out / "train.jsonl"
    made_of: Made = {
        "the sentences": file_hash(recipe.out / "spoken.txt"),
        "--voices": recipe.voices,
        "the transcripts": file_hash(recipe.of("train")),
    }
    if not made_before(recipe, "synthetic voices", made_of, joined):
        given = ("--texts", str(recipe.out / "spoken.txt"), "--takes", "1", "--voices", recipe.voices)
        step("synthetic voices", PYTHON, "-m", "manifests", "synthetic", *given, "--out", str(spoken))
        both = (str(spoken / "train.jsonl"), str(recipe.of("train")))
        step("join", PYTHON, "-m", "manifests", "merge", *both, "--out", str(joined))
        keep_made(recipe, "synthetic voices", made_of)
    return joined


def as_taught(recipe: Recipe, manifest: Path) -> Path:
    """A manifest whose texts are what the model shall write."""
    if not recipe.phones:
        return manifest
    written = recipe.out / "sounds" / f"{manifest.parent.name}-{manifest.name}"
    made_of: Made = {"the transcripts": file_hash(manifest)}
    if not made_before(recipe, f"sounds of {manifest}", made_of, written):
        step("sounds", PYTHON, "-m", "manifests", "phones", str(manifest), "--out", str(written))
        keep_made(recipe, f"sounds of {manifest}", made_of)
    return written


def trained(recipe: Recipe, suffix: str, train: Path, minutes: float, *more: str) -> Path:
    """The model of a training; that of a finished one is taken again."""
    name = recipe.experiment + suffix
    heard = {"train": as_taught(recipe, train), "validation": as_taught(recipe, recipe.of("validation"))}
    given = (
        f"experiment={recipe.experiment}", f"name={name}", *(f"data.{split}={path}" for split, path in heard.items()),
        f"trainer.max_time={clock_time(minutes)}", *more, *recipe.overrides,
    )  # fmt: skip
    made_of: Made = {"the options": [*given], **{split: file_hash(path) for split, path in heard.items()}}
    before = _state(recipe).get(name)
    if before and made_before(recipe, f"training of {name}", made_of, Path(before)):
        print(f"\n== {name} was trained before: {before}")
        return Path(before)
    step(name, PYTHON, "train.py", *given)
    runs = next((one.partition("=")[2] for one in recipe.overrides if one.startswith("runs=")), "runs")
    model = run_in(Path(runs, name)) / "model.nemo"
    _keep(recipe, **{name: str(model)})
    keep_made(recipe, f"training of {name}", made_of)
    return model


def clock_time(minutes: float) -> str:
    """As Lightning has it.

    >>> clock_time(90.5)
    '00:01:30:30'
    """
    seconds = round(minutes * 60)
    days, hours = divmod(seconds // 3600, 24)
    return f"{days:02d}:{hours:02d}:{seconds // 60 % 60:02d}:{seconds % 60:02d}"


def make_bundle(recipe: Recipe, model: Path) -> None:
    """Export, with a language model of the transcripts and the texts whose weights are tuned on validation."""
    bundle, arpa = str(recipe.bundle), str(recipe.out / "words.arpa")
    # Error rates of sounds would be taken for those of words.
    measured = () if recipe.phones else (f"manifest={recipe.of('validation')}",)
    step("export", PYTHON, "export.py", f"model={model}", f"out={bundle}", *measured)
    written = str(recipe.out / "written.txt")
    given = (str(recipe.of("train")), "--text", written, "--order", "4", "--held-out", str(recipe.of("validation")))
    phones = ("--phones",) if recipe.phones else ()
    step("language model", PYTHON, "-m", "experiments.lm", "train", *given, *phones, "--out", arpa)
    tuned = (bundle, str(recipe.of("validation")), "--lm", arpa, "--beam", str(BEAM))
    step("its weights", PYTHON, "-m", "experiments.lm", "tune", *tuned)


def measure(recipe: Recipe) -> None:
    """The bundle on the people that were kept apart."""
    table = Table("decoding", "WER", "95 %", "CER", title=f"people never heard, {recipe.of('test')}")
    decodings = {"greedy": "null", "language model": "bundle"}
    if recipe.phones:  # without a language model it writes no words
        del decodings["greedy"]
    for name, scorer in decodings.items():
        out = recipe.out / f"test-{name.replace(' ', '-')}.json"
        given = (f"model={recipe.bundle}", f"manifest={recipe.of('test')}", f"scorer={scorer}", f"out={out}", "worst=0")
        step(f"test, {name}", PYTHON, "evaluate.py", *given)
        report = json.loads(out.read_text())
        interval = f"{report['wer_low']:.1%} to {report['wer_high']:.1%}"
        table.add_row(name, f"{report['wer']:.2%}", interval, f"{report['cer']:.2%}")
    Console().print(table)
    seen = " ".join(f"--seen {recipe.of(split)}" for split in ("train", "validation"))
    print(f"beside whisper-tiny.en:  python benchmarks/people.py {recipe.bundle} --test {recipe.of('test')} {seen}")


def require_free(overrides: Sequence[str]) -> None:
    """Refuse overrides of what the recipe decides.

    Raises:
        ManifestError: names one, and what to do.
    """
    for override in overrides:
        if override.partition("=")[0].lstrip("+~") in OWN:
            raise ManifestError(
                f"{override}: both trainings would have it, and the recipe gives {', '.join(OWN)} itself (--minutes, "
                "--out and the source say how). Leave it out, or type python train.py for a training of your own."
            )


def cook(recipe: Recipe) -> None:
    """All steps, one after the other."""
    require_free(recipe.overrides)
    make_recordings(recipe)
    make_texts(recipe)
    joined = make_joined(recipe)
    first = trained(recipe, MIXED, joined, recipe.minutes[0])
    more = (f"init_from={first}", f"augment={'speakers' if recipe.phones else 'voice'}_from_start")
    model = trained(recipe, ALONE, recipe.of("train"), recipe.minutes[1], *more)
    make_bundle(recipe, model)
    measure(recipe)


def parser() -> argparse.ArgumentParser:
    """The command line."""
    one = argparse.ArgumentParser(
        prog="python -m experiments.people",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    one.add_argument("source", type=Path, help="Kaldi's data directory, or a folder that python -m manifests made")
    one.add_argument("--texts", type=Path, action="append", default=[], help="text of any kind; may be given again")
    one.add_argument("--out", type=Path, default=Path("data/people"), help="folder (default data/people)")
    one.add_argument("--sentences", type=int, default=6000, help="spoken by synthetic voices (default 6000)")
    one.add_argument("--voices", default="installed", help="that speak them (default: all that are installed)")
    one.add_argument(
        "--minutes", type=float, nargs=2, default=(25.0, 20.0), metavar=("MIXED", "PEOPLE"),
        help="of training on both, and on people alone (default 25 20)",
    )  # fmt: skip
    one.add_argument("--phones", action="store_true", help="models write sounds, which the language model reads")
    one.add_argument("--validation", type=float, default=0.08, help="share of the speakers (default 0.08)")
    one.add_argument("overrides", nargs="*", metavar="KEY=VALUE", help="for both trainings, as train.py takes them")
    return one


def main(arguments: Sequence[str] | None = None) -> int:
    """Entry point; returns the exit status."""
    given = parser().parse_intermixed_args(arguments)
    recipe = Recipe(
        given.source, given.texts, given.out, given.sentences, given.voices, tuple(given.minutes), given.validation,
        given.phones, given.overrides,
    )  # fmt: skip
    try:
        cook(recipe)
    except ManifestError as error:
        print(f"\nError: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
