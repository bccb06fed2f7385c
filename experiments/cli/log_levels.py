"""Keeps NeMo's and Lightning's chatter off the terminal; their warnings and errors stay."""

from __future__ import annotations

import logging


def set_log_levels() -> None:
    """Set the libraries' loggers to warnings (NeMo: errors; it warns of its own defaults on every model)."""
    from nemo.utils import logging as nemo_logging

    nemo_logging.setLevel(nemo_logging.ERROR)
    for name in ("lightning.pytorch", "pytorch_lightning", "lightning.fabric", "lightning_fabric", "wandb", "numexpr"):
        logging.getLogger(name).setLevel(logging.WARNING)
