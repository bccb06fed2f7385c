"""Several processes in one run: what is refused before they start, how they connect, and how a signal stops them."""

from datetime import timedelta
from types import SimpleNamespace

import pytest
from lightning.pytorch.strategies import DDPStrategy

from experiments.data.preparation import Data
from experiments.errors import ConfigError
from experiments.training import distributed, fit
from tests.conftest import SMALL

TWO = [*SMALL, "trainer.accelerator=cpu", "trainer.devices=2"]


@pytest.fixture
def built(compose_config, corpus, tmp_path, monkeypatch):
    """Build a run from overrides."""
    monkeypatch.setattr(fit, "run_dir", lambda: tmp_path)
    data = Data(corpus / "train.jsonl", corpus / "validation.jsonl", {})

    def build(*overrides: str):
        cfg = compose_config(*overrides)
        return cfg, *fit.build(cfg, data), data

    return build


def test_processes_that_hang_are_given_up_on(compose_config):
    strategy = distributed.strategy(compose_config(*TWO, "rank_timeout=45"))
    assert isinstance(strategy, DDPStrategy)
    assert strategy._timeout == timedelta(seconds=45)
    assert strategy.process_group_backend == "gloo"
    assert distributed.strategy(compose_config("trainer.accelerator=cpu")) == "auto"
    assert distributed.strategy(compose_config(*TWO, "trainer.strategy=fsdp")) == "fsdp"


def test_batch_normalisation_spans_the_processes_where_that_is_asked_for(built):
    from custom_modules.normalisation import MaskedBatchNorm

    for asked in (False, True):
        _, model, trainer, _ = built(*TWO, f"trainer.sync_batchnorm={asked}")
        norms = [module for module in model.modules() if isinstance(module, MaskedBatchNorm)]
        assert trainer.world_size == 2
        assert norms and all(norm.across_ranks == asked for norm in norms)
    with pytest.raises(ConfigError, match="spans processes on GPUs only"):
        built("encoder=nemo_jasper_4x1", "logger=none", *TWO[-2:], "trainer.sync_batchnorm=true")


def test_a_validation_set_smaller_than_the_run_is_refused(built):
    from experiments.data.datamodule import SpeechDataModule

    cfg, _, trainer, data = built(*SMALL, "trainer.accelerator=cpu", "trainer.devices=5")
    with pytest.raises(ConfigError, match="4 utterances, fewer than the 5 processes"):
        SpeechDataModule(cfg, data, trainer.global_rank, trainer.world_size).val_dataloader()


def test_runs_of_several_processes_need_a_launcher_that_starts_them(built, monkeypatch):
    hydra = SimpleNamespace(initialized=lambda: True, get=lambda: SimpleNamespace(mode=distributed.RunMode.MULTIRUN))
    monkeypatch.setattr(distributed, "HydraConfig", hydra)
    with pytest.raises(ConfigError, match="Add launcher=local_parallel or launcher=slurm"):
        built(*TWO)
