"""One run in several processes: which of them this one is, and how they agree before training connects them.

The first process, rank 0, prepares everything and writes everything. Lightning starts the other processes of a machine
when training begins, so they find all prepared, and what was agreed on in their environment. torchrun, srun and
submitit start all processes at once: the others wait for rank 0 through the store in which torch.distributed meets.
"""

from __future__ import annotations

import functools
import os
import sys
from collections.abc import Callable, MutableMapping
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from torch.distributed import Store

T = TypeVar("T")

PREFIX = "HEYJETSON_RANK0_"  # of what was agreed on, in the environment of processes that Lightning starts
LONGEST = timedelta(days=7)  # the first process may be downloading a corpus
CHILD = "hydra.job.name=train_ddp_process_"  # Lightning puts it on the command line of the processes it starts


class RankZeroGoneError(RuntimeError):
    """The first process of the run ended while this one waited for it."""


@dataclass(frozen=True)
class Place:
    """Where a process stands in its run.

    Args:
        rank: its number; not exact beyond 0 where Lightning starts processes.
        address: host and port where the processes of the run meet; None where there is nothing to wait for.
    """

    rank: int
    address: tuple[str, int] | None = None


def place(environment: MutableMapping[str, str] | None = None) -> Place:
    """Where this process stands.

    Args:
        environment: variables that torchrun, Slurm, submitit or Lightning set; this process's own when None.

    >>> place({}), place({"LOCAL_RANK": "1", "NODE_RANK": "0"}).rank
    (Place(rank=0, address=None), 1)
    >>> place({"RANK": "3", "WORLD_SIZE": "4", "MASTER_ADDR": "node7", "MASTER_PORT": "29500", "LOCAL_RANK": "1"})
    Place(rank=3, address=('node7', 29500))
    >>> place({"SLURM_PROCID": "0", "SLURM_NTASKS": "2", "SLURM_JOB_ID": "81234", "SLURM_NODELIST": "gpu[04-05]"})
    Place(rank=0, address=('gpu04', 16234))
    >>> place({"MASTER_ADDR": "node0", "MASTER_PORT": "1234", "NODE_RANK": "1"})
    Place(rank=1, address=('node0', 1234))
    """
    env = os.environ if environment is None else environment
    if int(env.get("WORLD_SIZE", 1)) > 1 and "RANK" in env and "MASTER_ADDR" in env:
        return Place(int(env["RANK"]), (env["MASTER_ADDR"], int(env["MASTER_PORT"])))
    if int(env.get("SLURM_NTASKS", 1)) > 1 and "SLURM_PROCID" in env:
        return Place(int(env["SLURM_PROCID"]), _slurm_address(env))
    rank = int(env.get("LOCAL_RANK", 0)) + int(env.get("NODE_RANK", 0))
    leader = "NODE_RANK" in env and "LOCAL_RANK" not in env and "MASTER_PORT" in env
    return Place(rank, (env["MASTER_ADDR"], int(env["MASTER_PORT"])) if leader else None)


def _slurm_address(env: MutableMapping[str, str]) -> tuple[str, int]:
    """Where Lightning will have the tasks of a Slurm job meet."""
    from lightning.fabric.plugins.environments import SLURMEnvironment

    host = env.get("MASTER_ADDR") or SLURMEnvironment.resolve_root_node_address(env.get("SLURM_NODELIST", "127.0.0.1"))
    return host, int(env.get("MASTER_PORT") or int(env["SLURM_JOB_ID"][-4:]) + 15000)


def join_submitit(environment: MutableMapping[str, str] | None = None) -> None:
    """Name the tasks of one of submitit's local jobs as torchrun would, which Lightning understands."""
    env = os.environ if environment is None else environment
    if env.get("SUBMITIT_EXECUTOR") != "local" or int(env.get("SUBMITIT_LOCAL_NTASKS", 1)) < 2 or "RANK" in env:
        return
    rank = env["SUBMITIT_LOCAL_GLOBALID"]
    env.update(
        RANK=rank,
        LOCAL_RANK=rank,
        WORLD_SIZE=env["SUBMITIT_LOCAL_NTASKS"],
        NODE_RANK="0",
        MASTER_ADDR="127.0.0.1",
        MASTER_PORT=str(20000 + int(env["SUBMITIT_LOCAL_JOB_ID"]) % 40000),
    )


def is_rank_zero() -> bool:
    """Whether this is the process that prepares and writes."""
    return place().rank == 0


def is_child(arguments: list[str]) -> bool:
    """Whether Lightning started this process: its arguments are then those of the first, already expanded."""
    return any(argument.startswith(CHILD) for argument in arguments)


def take_gpu(job: int, environment: MutableMapping[str, str] | None = None) -> None:
    """Leave one of submitit's local jobs one GPU, where it is of one process and could have all of them.

    Args:
        job: its number in the sweep.
        environment: as submitit sets it; this process's own when None.

    >>> job = {"SUBMITIT_EXECUTOR": "local", "SUBMITIT_LOCAL_NTASKS": "1", "CUDA_VISIBLE_DEVICES": "0,1,2,3"}
    >>> take_gpu(6, job); job["CUDA_VISIBLE_DEVICES"]
    '2'
    """
    env = os.environ if environment is None else environment
    visible = env.get("CUDA_VISIBLE_DEVICES", "").split(",")
    if env.get("SUBMITIT_EXECUTOR") == "local" and env.get("SUBMITIT_LOCAL_NTASKS") == "1" and len(visible) > 1:
        env["CUDA_VISIBLE_DEVICES"] = visible[job % len(visible)]


def set_up_rank(job: int) -> None:
    """Take this process's place in its run: its share of a job of submitit's, and silence beside the first process.

    What the others have to say of errors still shows.

    Args:
        job: number of the run in a sweep.
    """
    join_submitit()
    take_gpu(job)
    if not is_rank_zero():
        sys.stdout = open(os.devnull, "w")  # noqa: SIM115


@functools.cache
def _store(address: tuple[str, int]) -> Store:
    """The store of torch.distributed at an address; rank 0 opens it where torchrun has not."""
    import torch.distributed as dist

    opened = os.environ.get("TORCHELASTIC_USE_AGENT_STORE") == "True"
    options: dict[str, Any] = {} if opened else {"multi_tenant": True}  # training connects at the same address later
    store = dist.TCPStore(
        *address,
        is_master=is_rank_zero() and not opened,
        wait_for_workers=False,
        timeout=timedelta(minutes=5),
        **options,
    )
    return dist.PrefixStore(f"hey_jetson_{os.environ.get('TORCHELASTIC_RESTART_COUNT', 0)}", store)


def broadcast_from_rank_zero(key: str, make: Callable[[], str]) -> str:
    """What the first process makes, on every process of the run; the others wait for it.

    Args:
        key: names it; asked for once in a run, in the same order by all.
        make: called on the first process only.

    Raises:
        RankZeroGoneError: the first process ended before.
    """
    here = place()
    name = PREFIX + key.upper()
    if here.rank == 0:
        value = make()
        os.environ[name] = value
        if here.address:
            _store(here.address).set(key, value)
        return value
    if name not in os.environ and here.address:
        os.environ[name] = _wait(here.address, key)
    return os.environ.get(name, "")


def _wait(address: tuple[str, int], key: str) -> str:
    import torch.distributed as dist

    try:
        store = _store(address)
        store.wait([key], LONGEST)
        return store.get(key).decode()
    except dist.DistError as error:
        raise RankZeroGoneError(
            f"The first process of the run, at {address[0]}:{address[1]}, ended or cannot be reached; what it wrote "
            "says why."
        ) from error


def rank_zero_first(key: str, act: Callable[[], T]) -> T:
    """Act on the first process, then on the others: what is downloaded is downloaded once.

    Args:
        key: names the turn.
        act: whose result is returned.
    """
    result: list[T] = []

    def first() -> str:
        result.append(act())
        return key

    broadcast_from_rank_zero(key, first)
    return result[0] if result else act()
