"""The one folder that is written to for the user without being asked: what can be made anew."""

from __future__ import annotations

import os
from pathlib import Path


def user_cache() -> Path:
    """~/.cache/heyjetson, or what XDG_CACHE_HOME asks for.

    Raises:
        RuntimeError: there is no home.
    """
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "heyjetson"
