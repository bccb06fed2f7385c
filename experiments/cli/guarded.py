"""Errors that are expected, as a sentence and an exit status; libraries that are told to be quiet."""

from __future__ import annotations

import functools
import logging
import os
import sys
import warnings
from collections.abc import Callable

from hydra.core.hydra_config import HydraConfig
from hydra.errors import CompactHydraException
from hydra.types import RunMode

from experiments.cli.console_log import log_to_console
from experiments.errors import ConfigError
from experiments.training.diverged import DivergedError
from experiments.training.ranks import RankZeroGoneError
from heyjetson.errors import HeyJetsonError, refused_by_system
from manifests import ManifestError
from manifests.show import reader_has_left
from manifests.whole import NoRoomError

EXPECTED = (ConfigError, ManifestError, HeyJetsonError, RankZeroGoneError, DivergedError, NoRoomError)


def quiet() -> None:
    """Settings of libraries that must stand before they are imported; warnings that concern the user's run stay."""
    # Threads that spin for long at every barrier make a step 60 times slower as soon as another program wants a core.
    os.environ.setdefault("GOMP_SPINCOUNT", "1000")
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    logging.getLogger("nv_one_logger").setLevel(logging.CRITICAL)  # it takes every exception for an error of its own
    for message in (".*pkg_resources.*", ".*torch.jit.*", ".*num_workers.*", ".*does not have many workers.*"):
        warnings.filterwarnings("ignore", message=message)
    for category in (DeprecationWarning, FutureWarning, SyntaxWarning):
        warnings.filterwarnings("ignore", category=category)


def _several() -> bool:
    """Whether this is one of Hydra's several runs."""
    return bool(HydraConfig.initialized() and HydraConfig.get().mode == RunMode.MULTIRUN)


def guarded(task: Callable[..., object]) -> Callable[..., None]:
    """Run `task`; an expected error becomes a paragraph on standard error and exit status 1, or one of its own."""

    @functools.wraps(task)
    def run(*arguments: object) -> None:
        log_to_console()
        try:
            task(*arguments)
        except EXPECTED as error:
            if _several():
                raise CompactHydraException(str(error)) from error  # Hydra goes on with the other runs, then says so
            print(f"\nError: {error}", file=sys.stderr)
            sys.exit(getattr(error, "status", 1))
        except OSError as error:
            if isinstance(error, BrokenPipeError) and reader_has_left():
                sys.exit(1)  # not an error of the recipe, which Hydra would show with a traceback
            if (said := refused_by_system(error)) is None or _several():
                raise
            print(f"\nError: {said}", file=sys.stderr)
            sys.exit(1)
        except KeyboardInterrupt:
            if _several():
                raise
            print("\nInterrupted.", file=sys.stderr)
            sys.exit(130)

    return run
