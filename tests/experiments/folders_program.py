"""The frame of train.py around a recipe that takes a moment: it says where it is, and stays until it is told to go."""

import os
import time
from pathlib import Path

from omegaconf import DictConfig

from experiments.cli.entry import entry
from experiments.errors import ConfigError
from experiments.training.ranks import is_rank_zero


@entry("train")
def main(cfg: DictConfig) -> None:
    """Write what a run writes."""
    from hydra.core.hydra_config import HydraConfig

    folder = Path(HydraConfig.get().runtime.output_dir)
    if cfg.seed < 0:
        for name in os.environ.get("LEFT", "").split():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).touch()
        (folder / "wandb").mkdir(exist_ok=True)
        raise ConfigError("It is refused.")
    if is_rank_zero():
        (folder / "history.jsonl").open("a").write(f"{cfg.seed}\n")
    print(f"in {folder}", flush=True)
    while os.environ.get("STAY") and not Path(os.environ["STAY"]).exists():
        time.sleep(0.02)
    if is_rank_zero() and not os.environ.get("STAY"):
        (folder / "metrics.json").write_text("{}")
