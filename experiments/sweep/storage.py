"""The storage of a sweep: opened or refused in a sentence, and what counts of it."""

from __future__ import annotations

import time
import warnings
from pathlib import Path

import optuna
from optuna.storages import RDBStorage, RetryHeartbeatStaleTrialCallback
from optuna.study import Study, StudyDirection
from optuna.trial import FrozenTrial
from sqlalchemy.engine import make_url
from sqlalchemy.exc import IntegrityError, ProgrammingError, SQLAlchemyError

from experiments.errors import ConfigError
from experiments.sweep.definition import Definition
from experiments.sweep.settling import lost

HEARTBEAT = 15  # seconds between signs of life of a running trial
GRACE = 120  # seconds without one until another machine takes a trial over
ATTEMPTS = 5  # to open a storage that another process is making
WITHDRAWN = "withdrawn"
DEFINITION = "definition"

warnings.filterwarnings("ignore", category=optuna.exceptions.ExperimentalWarning)
warnings.filterwarnings("ignore", message="Heartbeat of storage")  # the runner beats itself
optuna.logging.set_verbosity(optuna.logging.ERROR)


def without_password(url: str) -> str:
    """A storage as it may be printed."""
    return make_url(url).render_as_string(hide_password=True)


def address(url: str) -> str:
    """The storage as SQLAlchemy finds it: newer ones take postgresql:// for a driver that is not the one installed."""
    scheme, separator, rest = url.partition("://")
    return f"{'postgresql+psycopg2' if scheme in ('postgresql', 'postgres') else scheme}{separator}{rest}"


def open_storage(url: str) -> RDBStorage:
    """Connect, and make the tables where there are none.

    Args:
        url: its `address`.

    Raises:
        ConfigError: it cannot be reached.
    """
    for left in reversed(range(ATTEMPTS)):
        try:
            return _connect(url)
        except (SQLAlchemyError, ImportError, OSError, ValueError, RuntimeError) as error:
            # Of two sweeps that find an empty database at once, one makes the tables.
            made_twice = isinstance(error, (IntegrityError, ProgrammingError)) or "already exists" in str(error)
            if left and made_twice:
                time.sleep(1)
                continue
            cause = str(getattr(error, "orig", None) or error).strip().splitlines()[0]
            shown = url if "@" not in url else url.partition("://")[0] + "://…@" + url.rpartition("@")[2]
            raise ConfigError(
                f"The storage {shown} cannot be opened: {cause.rstrip('.')}. Give storage=sqlite:///FILE, or "
                "storage=postgresql://USER:PASSWORD@HOST/DATABASE of a server that runs."
            ) from None
    raise AssertionError("the last attempt returns or raises")


def _connect(url: str) -> RDBStorage:
    parsed = make_url(url)
    sqlite = parsed.drivername.startswith("sqlite")
    if sqlite and parsed.database:
        Path(parsed.database).parent.mkdir(parents=True, exist_ok=True)
    return RDBStorage(
        url,
        engine_kwargs={"connect_args": {"timeout": 60}} if sqlite else None,  # it waits for another that writes
        heartbeat_interval=HEARTBEAT,
        grace_period=GRACE,
        heartbeat_stale_trial_callback=lost,
    )


def open_study(definition: Definition, name: str, storage: RDBStorage) -> Study:
    """The study of a sweep, made or continued.

    Raises:
        ConfigError: the study that is there was made from another definition.
    """
    direction = StudyDirection.MAXIMIZE if definition.metric.maximize else StudyDirection.MINIMIZE
    study = optuna.create_study(storage=storage, study_name=name, direction=direction, load_if_exists=True)
    before = study.user_attrs.get(DEFINITION)
    if before is None:
        if study.get_trials(deepcopy=False):
            raise ConfigError(f"The study {name} in this storage is not a sweep's. Give name=OTHER.")
        study.set_user_attr(DEFINITION, definition.comparable)
        return study
    if changed := [key for key, text in definition.comparable.items() if before.get(key) != text]:
        key = changed[0]
        raise ConfigError(
            f"{definition.source} is not what the sweep {name} was started with: {', '.join(changed)} changed. {key} "
            f"was {before.get(key)}. Trials of both cannot be compared: give name=OTHER, or put it back."
        )
    return study


def kept(study: Study) -> list[FrozenTrial]:
    """The trials that count: not those that were started anew under another number, nor those withdrawn."""
    trials = study.get_trials(deepcopy=False)
    superseded = {number for trial in trials for number in RetryHeartbeatStaleTrialCallback.retry_history(trial)}
    return [t for t in trials if t.number not in superseded and WITHDRAWN not in t.user_attrs]
