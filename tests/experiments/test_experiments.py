"""Every experiment, encoder and augmentation composes and takes one step on the tiny corpus."""

import math
from dataclasses import replace

import pytest
import torch
from hydra.utils import instantiate
from omegaconf import OmegaConf

from tests.conftest import ROOT, SMALL, drawn_model, narrow

EXPERIMENTS = ROOT / "conf" / "experiment"
NAMES = sorted(str(path.relative_to(EXPERIMENTS).with_suffix("")) for path in EXPERIMENTS.rglob("*.yaml"))
CASES = {
    **{name: [f"experiment={name}"] for name in NAMES},
    **{f"augment-{path.stem}": [f"augment={path.stem}"] for path in (ROOT / "conf" / "augment").glob("*.yaml")},
    **{f"encoder-{path.stem}": [f"encoder={path.stem}"] for path in (ROOT / "conf" / "encoder").glob("*.yaml")},
    **{f"frontend-{path.stem}": [f"frontend={path.stem}"] for path in (ROOT / "conf" / "frontend").glob("*.yaml")},
}


STEPPED: set[str] = set()


def as_a_user_has_it(cfg) -> None:
    """The encoder at its own size, without memory and arithmetic where it can be: its parts fit together."""
    with torch.device("cpu" if cfg.encoder._target_.endswith("ConformerEncoder") else "meta"):
        instantiate(cfg.encoder)


@pytest.mark.parametrize("case", CASES)
def test_one_step(case, compose_config, corpus, nemo_file, tmp_path, monkeypatch):
    from experiments.data.preparation import Data
    from experiments.training import fit

    if case.startswith("encoder-"):
        as_a_user_has_it(compose_config(*CASES[case]))
    overrides = [override for override in SMALL if not ("nemo_" in case and override.startswith("encoder."))]
    if "trigger" in case or case == "phones":  # which have no dense layers
        overrides.remove("encoder.dense.units=[16]")
    if case == "finetune":
        overrides += [f"init_from={nemo_file}", "encoder=hey_jetson_small"]  # which the file has
    if "nemo_conformer" in case:
        overrides += ["encoder.n_layers=2", "encoder.d_model=32"]
    cfg = compose_config(
        *CASES[case],
        *overrides,
        "trainer.max_time=null",
        "trainer.max_steps=1",
        "+trainer.enable_progress_bar=false",
        "statistics_utterances=4",
        "name=step",
    )
    told = OmegaConf.to_yaml(narrow(cfg))
    if told in STEPPED:  # a rung that is nothing but its encoder, or a default
        return
    STEPPED.add(told)
    monkeypatch.setattr(fit, "run_dir", lambda: tmp_path)
    data = Data(corpus / "train.jsonl", corpus / "validation.jsonl", {"test": corpus / "validation.jsonl"})
    model, trainer = fit.build(cfg, data)
    before = {name: value.detach().clone() for name, value in model.named_parameters() if value.requires_grad}
    fit.fit(cfg, model, trainer, data)
    assert trainer.global_step == 1
    assert any(not torch.equal(before[name], value) for name, value in model.named_parameters() if name in before)
    metrics = fit.finish(cfg, model, trainer, data)
    assert math.isfinite(metrics["test"]["test"]["wer"])
    assert f"validation_{'cer' if 'phones' in case else 'wer'}" in metrics


def test_the_best_weights_have_least_of_an_error_rate(compose_config):
    from experiments.errors import ConfigError
    from experiments.training import fit

    with pytest.raises(ConfigError, match="monitor must be one of val_wer, val_cer, found 'val_loss'"):
        fit.build(compose_config(*SMALL, "monitor=val_loss"), None)


def test_the_same_seed_gives_the_same_weights(compose_config, corpus, tmp_path, monkeypatch):
    from experiments.data.preparation import Data
    from experiments.training import fit

    data = Data(corpus / "train.jsonl", corpus / "validation.jsonl", {})
    weights = []
    for attempt in ("a", "b"):
        cfg = compose_config(*SMALL, "trainer.max_time=null", "trainer.max_steps=3", "statistics_utterances=4")
        (tmp_path / attempt).mkdir()
        monkeypatch.setattr(fit, "run_dir", lambda attempt=attempt: tmp_path / attempt)
        model, trainer = fit.build(cfg, data)
        fit.fit(cfg, model, trainer, data)
        weights.append({name: value.clone() for name, value in model.state_dict().items()})
    for name, value in weights[0].items():
        assert torch.equal(value, weights[1][name]), name


def test_validation_pools_words(small_model, corpus):
    """The model's own validation and the evaluation report the same WER and CER."""
    from experiments.evaluation.evaluate import evaluate_nemo

    manifest = corpus / "validation.jsonl"
    loader = {"manifest_filepath": str(manifest), "sample_rate": 16000, "labels": small_model.labels}
    small_model.setup_validation_data(OmegaConf.create(loader | {"batch_size": 3, "shuffle": False}))
    with torch.no_grad():
        outputs = [small_model.validation_pass(batch, index) for index, batch in enumerate(small_model._validation_dl)]
    pooled = small_model.multi_validation_epoch_end(outputs)["log"]
    totals = evaluate_nemo(small_model, manifest, 2).totals()
    assert float(pooled["val_wer"]) == pytest.approx(totals["wer"], abs=1e-5)
    assert float(pooled["val_cer"]) == pytest.approx(totals["cer"], abs=0.02)
    assert len(small_model.validation_texts) == 4


def test_transcripts_that_no_model_could_write_are_told(small_model, corpus, tmp_path, capsys):
    from experiments.evaluation.evaluate import evaluate_nemo
    from manifests import read_manifest, write_manifest

    first, second, *_ = read_manifest(corpus / "validation.jsonl")
    write_manifest(tmp_path / "test.jsonl", [replace(first, text="Route 66"), second])
    evaluate_nemo(small_model, tmp_path / "test.jsonl", 2)
    told = capsys.readouterr().err
    assert "1 of 2 transcripts" in told and "'6' 'R'" in told


@pytest.mark.parametrize("reduction", ["mean_batch", "mean_volume"])
def test_the_loss_of_a_validation_does_not_depend_on_its_batches(compose_config, corpus, reduction):
    model = drawn_model(compose_config("encoder=hey_jetson_small", *SMALL, f"model.ctc_reduction={reduction}"), seed=0)
    loader = {"manifest_filepath": str(corpus / "validation.jsonl"), "sample_rate": 16000, "shuffle": False}
    losses = []
    for size in (1, 3, 4):
        config = OmegaConf.create(loader | {"batch_size": size, "labels": model.labels})
        model.setup_validation_data(config)
        with torch.no_grad():
            outputs = [model.validation_pass(batch, index) for index, batch in enumerate(model._validation_dl)]
        losses.append(float(model.multi_validation_epoch_end(outputs)["log"]["val_loss"]))
    assert losses == pytest.approx([losses[0]] * 3, rel=1e-4)


@pytest.mark.parametrize("override", ["trainer.precision=17-mixed", "trainer.devices=0", "logger.mode=sometimes"])
def test_what_the_trainer_refuses_is_a_sentence(compose_config, corpus, tmp_path, monkeypatch, override):
    from experiments.data.preparation import Data
    from experiments.errors import ConfigError
    from experiments.training import fit

    monkeypatch.setattr(fit, "run_dir", lambda: tmp_path)
    data = Data(corpus / "train.jsonl", corpus / "validation.jsonl", {})
    with pytest.raises(ConfigError, match=r"cannot be built|must be auto"):
        fit.build(compose_config("logger.table_rows=0", override), data)
