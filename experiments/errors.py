"""What goes wrong before a run begins."""

from __future__ import annotations


class ConfigError(ValueError):
    """A choice that cannot work, in a sentence with the cause and the cure."""
