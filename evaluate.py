"""How good is a model on a manifest?

python evaluate.py model=runs/synthetic/TIME/model.nemo manifest=data/synthetic/test.jsonl
python evaluate.py model=bundles/synthetic manifest=data/synthetic/test.jsonl worst=20
python evaluate.py model=bundles/synthetic manifest=data/synthetic/test.jsonl scorer=bundle      # its language model
python evaluate.py --config-name trigger model=wake data.positives=DIR 'data.backgrounds=[DIR]'      # a trigger word
python evaluate.py --help
"""

from pathlib import Path

from omegaconf import DictConfig

from experiments.cli.entry import entry
from experiments.cli.overrides import require_keys


@entry("evaluate", trigger="evaluate_trigger")
def main(cfg: DictConfig) -> object:
    """Restore → transcribe → report."""
    if "protocol" in cfg:
        from experiments.trigger.evaluation.recipe import evaluate

        return evaluate(cfg)
    require_keys(cfg, "model", "manifest")
    from experiments.evaluation.evaluate import channels_of, evaluate_bundle, evaluate_nemo, require_bundle
    from experiments.evaluation.report import hashes_of, place_of, show_worst, summarise
    from experiments.evaluation.training_overlap import heard_in_training, run_of
    from experiments.tracking.artifacts import is_reference, local_model

    path, manifest = local_model(cfg.model), Path(cfg.manifest)
    beside = Path() if is_reference(cfg.model) else path.parent
    require_bundle(path, cfg.scorer)
    channels = channels_of(run_of(path), cfg.channels)
    if path.is_dir():
        report = evaluate_bundle(path, manifest, cfg.threads, cfg.scorer, channels)
        out = Path(cfg.out or place_of(beside, path.name, manifest, "-scorer" if report.scorer else ""))
    else:
        from experiments.pretrained.restore import restore_model

        report = evaluate_nemo(restore_model(path), manifest, cfg.batch_size, channels)
        out = Path(cfg.out or place_of(beside, "evaluation", manifest))
    report.hashes = hashes_of(path, report.scorer)
    report.heard = heard_in_training(path, manifest)
    report.write(out)
    show_worst(report, cfg.worst)
    summarise({manifest.stem: report.totals()})
    print(f"report  {out}")
    return report


if __name__ == "__main__":
    main()
