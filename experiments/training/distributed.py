"""Training in several processes: how they are connected, what they must agree on, and how they part."""

from __future__ import annotations

import logging
from datetime import timedelta
from typing import Any

import lightning.pytorch as pl
import torch
import torch.distributed as dist
from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from lightning.pytorch.strategies import DDPStrategy
from omegaconf import DictConfig, OmegaConf
from torch import nn

from custom_modules.normalisation import MaskedBatchNorm
from experiments.errors import ConfigError
from experiments.training.ranks import place

OBSERVER = "lightning.fabric.strategies.launchers.subprocess_script"  # says which process died


def strategy(cfg: DictConfig) -> Any:
    """`trainer.strategy`, with what ddp needs here.

    Args:
        cfg: the whole configuration.
    """
    chosen, trainer = cfg.trainer.strategy, cfg.trainer
    several = str(trainer.devices) != "1" or trainer.num_nodes > 1
    reachable = trainer.accelerator == "cpu" or torch.cuda.is_available()
    if not (chosen == "ddp" or (chosen == "auto" and several and reachable)):
        return chosen
    logging.getLogger(OBSERVER).setLevel(logging.INFO)
    on_gpu = trainer.accelerator != "cpu" and torch.cuda.is_available()
    return DDPStrategy(
        # With gloo beside NCCL, what processes agree on at each step does not make them wait for their GPUs.
        process_group_backend="cpu:gloo,cuda:nccl" if on_gpu else "gloo",
        timeout=timedelta(seconds=cfg.rank_timeout),
        gradient_as_bucket_view=True,
        # A layer that is left out of a step has no gradients, and is not to be waited for.
        find_unused_parameters=bool(OmegaConf.select(cfg, "model.encoder.recurrent.stochastic_depth")),
    )


def check(cfg: DictConfig, model: nn.Module, trainer: pl.Trainer) -> None:
    """Refuse what cannot run in several processes; have batch normalisation span them where that is asked for.

    Raises:
        ConfigError: the processes cannot be started, or plain batch normalisation cannot span them on CPUs.
    """
    launcher = trainer.strategy.launcher
    starts = trainer.world_size > 1 and place().address is None and launcher is not None
    if starts and HydraConfig.initialized() and HydraConfig.get().mode == RunMode.MULTIRUN:
        raise ConfigError(
            f"-m starts each run in one process, and trainer.devices={cfg.trainer.devices} wants several. Add "
            "launcher=local_parallel or launcher=slurm, which start them, or leave -m out."
        )
    if not cfg.trainer.sync_batchnorm or trainer.world_size == 1:
        return
    for module in model.modules():
        if isinstance(module, MaskedBatchNorm):
            module.across_ranks = True
        elif isinstance(module, nn.modules.batchnorm._BatchNorm) and trainer.strategy.root_device.type == "cpu":
            raise ConfigError(
                "trainer.sync_batchnorm=true: torch's batch normalisation, which this encoder has, spans processes on "
                "GPUs only. Leave it false on CPUs, or choose an encoder of this project."
            )


def largest(number: int) -> int:
    """The largest of the numbers that the processes of the run have."""
    if not (dist.is_available() and dist.is_initialized()):
        return number
    tensor = torch.tensor(number)
    if dist.get_backend_config() == "cuda:nccl":  # another strategy than ddp
        tensor = tensor.cuda()
    dist.all_reduce(tensor, dist.ReduceOp.MAX)
    return int(tensor)


def lost(error: BaseException) -> bool:
    """Whether an error says that another process of the run is gone."""
    connected = dist.is_available() and dist.is_initialized()
    text = str(error)
    return connected and (isinstance(error, dist.DistError) or "gloo" in text or "NCCL" in text)


def part(wait: bool = True) -> None:
    """End the connection: from here on each process goes its own way, and none waits for another.

    Args:
        wait: for the others to be here; they must be on their way.
    """
    if dist.is_available() and dist.is_initialized():
        if wait:
            dist.barrier()
        dist.destroy_process_group()
