"""Tells libraries not to report to their makers. They read it when they are imported, so it is said before that.

docs/privacy.md lists what each library would do by itself.
"""

from __future__ import annotations

import os
from collections.abc import Mapping

DEVICE = {"ORT_DISABLE_TELEMETRY": "1"}
WORKSTATION = {
    **DEVICE,  # NeMo and Polygraphy import onnxruntime, too
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "WANDB_ERROR_REPORTING": "false",
}


def opt_out(settings: Mapping[str, str]) -> None:
    """Set what the environment does not say yet; the user's own settings stand.

    Args:
        settings: variables and their values.
    """
    for name, value in settings.items():
        os.environ.setdefault(name, value)


opt_out(DEVICE)
