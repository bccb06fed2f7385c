"""Cut a long recording into the utterances of its transcript, with one's own model.

python -m experiments.align model=bundles/mine sound=talk.flac text=talk.txt out=data/talk
python -m experiments.align model=runs/mine/TIME/model.nemo sound=recordings text=transcripts out=data/talks
python -m experiments.align --help
"""

from __future__ import annotations

from pathlib import Path

from omegaconf import DictConfig

from experiments.cli.entry import entry
from experiments.cli.overrides import require_keys


@entry("align")
def main(cfg: DictConfig) -> None:
    """Pair → listen and align → write → report."""
    require_keys(cfg, "model", "sound", "text", "out")
    from experiments.align.lattice import Costs
    from experiments.align.recipe import Aligner, AlignOptions, pair, write
    from experiments.align.report import next_steps, show

    options = AlignOptions(
        min_score=cfg.min_score,
        costs=Costs(**cfg.costs),
        padding=cfg.padding,
        longest_line=cfg.longest_line,
        language=cfg.language,
        channels=str(cfg.channels),
    )
    pairs, out = pair(Path(cfg.sound), Path(cfg.text)), Path(cfg.out)

    from experiments.align.acoustic import open_acoustic
    from experiments.tracking.artifacts import local_model

    aligner = Aligner(open_acoustic(local_model(cfg.model), cfg.threads), options)
    results = []
    for result in aligner.run(pairs.found):
        results.append(result)
        write(results, out, options.min_score)  # what is done is not lost with a recording that cannot be read
    show(results, out, options.min_score, cfg.worst)
    for note in aligner.normaliser.report():
        print(f"text: {note}")
    if pairs.alone:
        print(f"{len(pairs.alone)} files have no partner: {', '.join(path.name for path in pairs.alone[:8])}")
    next_steps(results, out, options.min_score, options.channels)


if __name__ == "__main__":
    main()
