"""Sweep over the keys of sweep.yaml, without a server.

python sweep.py count=6                    # six trials; the same command continues a sweep that was killed
python sweep.py count=20 workers=2         # goes on to twenty, two at once
python sweep.py count=20 best=true         # and writes the best as conf/experiment/best_NAME.yaml
python sweep.py --help
"""

from pathlib import Path

from omegaconf import DictConfig

from experiments.cli.entry import entry


@entry("sweep")
def main(cfg: DictConfig) -> None:
    """Read the definition → compose its corners → open the study → make the corpus → run the trials → rank them."""
    from experiments.sweep.best import write_best
    from experiments.sweep.commands import check_definition, prepare
    from experiments.sweep.definition import load_definition
    from experiments.sweep.session import open_sweep

    definition = load_definition(Path(cfg.definition))
    check_definition(definition)
    sweep = open_sweep(cfg, definition)
    prepare(definition)
    sweep.run()
    sweep.show()
    if cfg.best:
        print(f"best       {write_best(sweep.study, definition)}")


if __name__ == "__main__":
    main()
