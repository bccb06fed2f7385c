"""Cut a long recording into the utterances of its transcript, with one's own model.

python -m experiments.align model=bundles/mine sound=talk.flac text=talk.txt out=data/talk
python -m experiments.align model=runs/mine/TIME/model.nemo sound=recordings text=transcripts out=data/talks
python -m experiments.align --help
"""

from __future__ import annotations

from pathlib import Path

from omegaconf import DictConfig

from experiments.entry import entry, require_keys


@entry("align")
def main(cfg: DictConfig) -> None:
    """Pair → listen and align → write → report."""
    require_keys(cfg, "model", "sound", "text", "out")
    from experiments.align.lattice import Costs
    from experiments.align.recipe import AlignOptions, align_all, pair, write
    from experiments.align.report import show

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
    from experiments.artifacts import local_model

    acoustic = open_acoustic(local_model(cfg.model), cfg.threads)
    results = list(align_all(acoustic, pairs.found, options))
    write(results, out, options.min_score)
    show(results, pairs, out, options.min_score, cfg.worst)


if __name__ == "__main__":
    main()
