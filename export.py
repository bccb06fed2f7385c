"""Turn a .nemo into a bundle for the device.

python export.py model=runs/synthetic/TIME/model.nemo out=bundles/synthetic
python export.py model=X.nemo out=bundles/mine manifest=test.jsonl     # measured, and the figures written into it
python export.py model=runs/trigger/TIME/model.nemo out=wake                       # a trigger word
python export.py model=X.nemo out=bundles/mine precision=int8 manifest=test.jsonl
python export.py model=wandb:me/hey-jetson/synthetic:best out=bundles/best      # fetched from W&B
python export.py --help
"""

from pathlib import Path

from omegaconf import DictConfig

from experiments.cli.entry import entry
from experiments.cli.overrides import require_keys


@entry("export")
def main(cfg: DictConfig) -> None:
    """Restore → trace → compare → write → log."""
    require_keys(cfg, "model", "out")
    from experiments.pretrained.restore import restore_model
    from experiments.tracking.artifacts import local_model
    from experiments.tracking.lineage import log_bundle, tracks_bundles

    tracks_bundles(cfg.wandb)
    nemo, out = local_model(cfg.model), Path(cfg.out)
    model = restore_model(nemo, trigger=None)

    from experiments.evaluation.evaluate import channels_of
    from experiments.export.bundle import ExportOptions, export_bundle
    from experiments.export.times import chosen, sentence

    run = model.cfg.get("run") or {}
    options = ExportOptions(
        precision=cfg.precision,
        target=cfg.target,
        opset=cfg.opset,
        licence=cfg.licence,
        chunk_frames=cfg.chunk_frames,
        manifest=Path(cfg.manifest) if cfg.manifest else None,
        max_wer_increase=cfg.max_wer_increase,
        check=Path(cfg.check) if cfg.check else None,
        calibration=chosen(cfg.calibration, nemo, run),
        channels=channels_of(run, cfg.channels),
        **cfg.parity,
    )
    if cfg.target == "sherpa":  # before the bundle, which takes its time
        from experiments.export.sherpa import require_sherpa, write_sherpa

        require_sherpa(model)
    elif cfg.target == "onnx-asr":
        from experiments.export.onnx_asr import require_onnx_asr, write_onnx_asr

        require_onnx_asr(model)
    parity = export_bundle(model, nemo, out, options)
    if cfg.target == "triton":
        from experiments.export.triton import write_repository
        from heyjetson import Bundle

        write_repository(Bundle(out), Path(cfg.repository or f"{out}-triton"), out.name)
    elif cfg.target == "sherpa":
        folder = Path(cfg.repository or f"{out}-sherpa")
        write_sherpa(model, folder, options)
        print(f"for sherpa-onnx  {folder}")
    elif cfg.target == "onnx-asr":
        folder = Path(cfg.repository or f"{out}-onnx-asr")
        write_onnx_asr(model, folder, options)
        print(f"for onnx-asr  {folder}")
    times = sentence(out, options.calibration)
    print(f"Graph and model agree to {parity.difference:.1e} in {parity.cases} cases.\n{times}bundle  {out}")
    log_bundle(out, cfg.wandb)


if __name__ == "__main__":
    main()
