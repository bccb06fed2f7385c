"""The project's own log, without NeMo's and Lightning's chatter; their warnings and errors stay."""

from __future__ import annotations

import logging

from experiments.cli.console_log import log_to_console


def set_log_levels() -> None:
    """Set the libraries' loggers to warnings (NeMo: errors; it warns of its own defaults on every model)."""
    from nemo.utils import logging as nemo_logging

    log_to_console()
    nemo_logging.setLevel(nemo_logging.ERROR)
    for name in ("lightning.pytorch", "pytorch_lightning", "lightning.fabric", "lightning_fabric", "wandb", "numexpr"):
        logging.getLogger(name).setLevel(logging.WARNING)
