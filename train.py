"""Train a speech model.

python train.py                                               # the synthetic corpus, 6 minutes on 2 cores
python train.py experiment=digits data.source=DIR             # real digits
python train.py encoder=nemo_quartznet trainer.max_time=00:01:00:00
python train.py experiment=finetune init_from=runs/NAME/TIME/model.nemo data.source=DIR
python train.py --config-name trigger words=[computer]        # a trigger word
python train.py resume=last                                   # after a kill
python train.py --help                                        # every choice and key
"""

from omegaconf import DictConfig

from experiments.cli.entry import entry
from experiments.cli.overrides import require_time


@entry("train", trigger="trigger")
def main(cfg: DictConfig) -> object:
    """Prepare the data → build → check → fit → restore the best weights → test → write .nemo and metrics.json."""
    require_time(cfg)
    if cfg.get("task") == "trigger":
        from experiments.trigger import recipe

        return recipe.train(cfg)
    from experiments.data.preparation import prepare_data
    from experiments.pretrained.inherit_config import inherit_config

    inherit_config(cfg)
    data = prepare_data(cfg)

    from experiments.data import preflight
    from experiments.training import fit  # NeMo: ten seconds, not spent on data that is not there

    model, trainer = fit.build(cfg, data)
    preflight.check_run(cfg, model, data)
    fit.fit(cfg, model, trainer, data)
    return fit.finish(cfg, model, trainer, data)


if __name__ == "__main__":
    main()
