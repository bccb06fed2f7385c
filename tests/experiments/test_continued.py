"""A run that is continued is of the model that it began with."""

import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser
from omegaconf import OmegaConf

from experiments.cli.resume import expand_resume
from experiments.errors import ConfigError
from experiments.pretrained import inherit_config as inherit
from tests.conftest import SMALL


@pytest.fixture
def continued(compose_config, tmp_path, monkeypatch):
    """Compose what a run goes on with: what was typed when it began, and now."""
    began = [*SMALL, "frontend.low=50"]
    for name in ("checkpoints", ".hydra"):
        (tmp_path / name).mkdir()
    (tmp_path / "checkpoints" / "last.ckpt").write_bytes(b"")
    OmegaConf.save(began, tmp_path / ".hydra" / "overrides.yaml")
    cfg = compose_config(*began)
    OmegaConf.save(OmegaConf.create(OmegaConf.to_container(cfg, resolve=True)), tmp_path / "config.yaml")

    def go_on(*now, change=None):
        typed = expand_resume([f"resume={tmp_path}", *now])[:-1]
        given = OverridesParser.create().parse_overrides(typed)
        monkeypatch.setattr(inherit, "_overrides", lambda: {one.key_or_group: one for one in given})
        cfg = compose_config(*typed, f"resume={tmp_path}")
        if change:
            change(cfg)
        inherit.inherit_config(cfg)
        return cfg

    return go_on


def test_what_conf_says_by_now_changes_nothing(continued, tmp_path):
    """A default that has changed, a key that is new, and one that is gone since."""

    def change(cfg):
        cfg.frontend.high = 7000
        OmegaConf.update(cfg, "frontend.newly", 1, force_add=True)
        del cfg.encoder.recurrent.norm

    cfg = continued("optim.lr=0.5", "trainer.max_steps=9", change=change)
    began = OmegaConf.load(tmp_path / "config.yaml")
    assert (cfg.frontend, cfg.encoder) == (began.frontend, began.encoder)
    assert (cfg.optim.lr, cfg.trainer.max_steps, cfg.frontend.low) == (0.5, 9, 50)
    assert cfg.model.encoder == began.encoder and list(cfg.model.labels) == list(began.labels)


@pytest.mark.parametrize(
    ("typed", "said"),
    [
        ("frontend.low=20", "frontend.low was 50 when this run began and cannot become 20"),
        ("encoder.convolution.dilations=[1,1,1]", "cannot become"),
        ("labels=[b,a]", "cannot become .'b', 'a'"),
        ("+encoder.another=1", "was absent when"),
        ("data.sample_rate=8000", "data.sample_rate was 16000"),
        ("~encoder.recurrent", "cannot become absent"),
        ("encoder=hey_jetson", "keeps its encoder"),
    ],
)
def test_another_model_is_refused(continued, typed, said):
    with pytest.raises(ConfigError, match=said):
        continued(typed)


def test_dropout_may_change(continued):
    assert continued("encoder.recurrent.dropout=0.37").encoder.recurrent.dropout == 0.37


def test_a_run_without_a_checkpoint_begins(continued, tmp_path):
    (tmp_path / "checkpoints" / "last.ckpt").unlink()
    assert continued("frontend.low=20").frontend.low == 20


def test_what_was_refused_is_not_kept(continued, tmp_path):
    """Before Hydra writes the overrides, which the next continuation would repeat."""
    with pytest.raises(ConfigError):
        expand_resume([f"resume={tmp_path}", "frontend.low=20"])
    assert continued("optim.lr=0.5").frontend.low == 50
