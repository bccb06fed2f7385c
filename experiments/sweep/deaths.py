"""Why a trial died: of its setting, which counts against its values, or of the machine, and then it is tried again."""

from __future__ import annotations

import os
import re
import signal
from dataclasses import dataclass
from pathlib import Path

from heyjetson.errors import NO_ROOM

ENOUGH = 3  # deaths in a row of one setting
CGROUPS, OWN_CGROUP, VMSTAT = Path("/sys/fs/cgroup"), Path("/proc/self/cgroup"), Path("/proc/vmstat")
FULL = 2**20  # bytes left on a disk where nothing can be written any more

# What the last line of a log says, by Python, PyTorch, CUDA and the C library.
MEMORY = re.compile(
    r"\bMemoryError\b|out of memory|OutOfMemory|bad_alloc|Cannot allocate memory|not enough memory|shared memory"
    r"|/torch_\d",
    re.IGNORECASE,
)
LASTING = {
    "disk": "|".join(map(os.strerror, NO_ROOM)) + r"|disk is full|Read-only file system|Input/output error"
    r"|Stale file handle",
    "GPU": r"uncorrectable ECC|GPU is lost|fallen off the bus|no CUDA-capable device"
    r"|CUDA-capable device\(s\) is/are busy|Unable to determine the device handle|driver/library version mismatch",
    "network": r"Temporary failure in name resolution|Name or service not known|Network is unreachable"
    r"|Connection (refused|reset by peer|timed out)|No route to host",
}
WORKER_KILLED = re.compile(r"worker .*killed by signal: Killed")  # of PyTorch's loaders
OUTSIDE = ("SIGHUP", "SIGINT", "SIGQUIT", "SIGTERM", "SIGUSR1", "SIGUSR2", "SIGXCPU", "SIGXFSZ", "SIGPWR")


@dataclass(frozen=True)
class Death:
    """What a trial died of.

    Args:
        kind: in a word: memory, crash, signal, disk, GPU, network.
        reason: in words, with what it is known by.
        setting: whether it is the values that are at fault.
        lasting: whether the machine would end the next trial in the same way.
    """

    kind: str
    reason: str
    setting: bool = True
    lasting: bool = False


def memory_kills() -> int | None:
    """Processes that the kernel has killed for want of memory: of this control group, else of the machine.

    Returns:
        their count so far; None where the kernel does not tell.
    """
    for path in (*_counters(), VMSTAT):
        try:
            found = re.search(r"^oom_kill (\d+)$", path.read_text(), re.MULTILINE)
        except OSError:
            continue
        if found:
            return int(found[1])
    return None


def _counters() -> list[Path]:
    """Where version 2 and 1 of control groups count; in a container the group's own path may not be visible."""
    try:
        lines = [line.split(":", 2) for line in OWN_CGROUP.read_text().splitlines()]
    except OSError:
        return []
    found = []
    for _, controllers, path in lines:
        if not controllers:
            found += [CGROUPS / path.strip("/") / "memory.events", CGROUPS / "memory.events"]
        elif "memory" in controllers.split(","):
            folder = CGROUPS / "memory"
            found += [folder / path.strip("/") / "memory.oom_control", folder / "memory.oom_control"]
    return found


def explain(status: int, last_words: str, kills: tuple[int | None, int | None], free: int) -> Death:
    """What a process died of.

    Args:
        status: its exit status, not 0; below 0 it is a signal, and so it is from 129 on (of a shell, of train.py).
        last_words: the line of its log that says why it ended; empty where it printed none.
        kills: `memory_kills` when it was started and when it had ended.
        free: bytes left on the disk of its folder.

    >>> explain(1, "torch.OutOfMemoryError: CUDA out of memory.", (0, 0), 10**9).kind
    'memory'
    >>> explain(-15, "epoch 3", (0, 0), 10**9).reason
    'SIGTERM from outside; last line: epoch 3'
    """
    number = -status if status < 0 else status - 128
    name = signal.Signals(number).name if number in set(signal.Signals) else ""
    said = f"{f'killed by {name}' if status < 0 else f'status {status}'}: {last_words or 'it printed nothing'}"
    if WORKER_KILLED.search(last_words):
        return _killed("one of its loaders was killed", kills, last_words)
    if MEMORY.search(last_words):
        return Death("memory", said)
    for kind, words in LASTING.items():
        if re.search(words, last_words, re.IGNORECASE):
            return Death(kind, said, setting=False, lasting=True)
    if free < FULL:
        return Death("disk", f"{said}; its disk is full", setting=False, lasting=True)
    if name == "SIGKILL":
        return _killed("killed by SIGKILL", kills, last_words)
    if name in OUTSIDE:
        return Death("signal", f"{name} from outside{_last(last_words)}", setting=False)
    if last_words.startswith("KeyboardInterrupt"):
        return Death("signal", f"SIGINT from outside{_last(last_words)}", setting=False)
    if status < 0:
        return Death("crash", f"crashed with {name}{_last(last_words)}")
    return Death("crash", said)


def _last(words: str) -> str:
    return f"; last line: {words}" if words else "; it printed nothing"


def _killed(what: str, kills: tuple[int | None, int | None], last_words: str) -> Death:
    before, after = kills
    if before is None or after is None:
        known = "it is assumed that memory ran out, for the kernel's count of such kills cannot be read here"
        return Death("memory", f"{what}; {known}{_last(last_words)}")
    if after > before:
        known = f"by the kernel, for want of memory (its count of such kills rose from {before} to {after})"
        return Death("memory", f"{what} {known}{_last(last_words)}")
    known = "from outside (the kernel has killed nothing for want of memory)"
    return Death("signal", f"{what} {known}{_last(last_words)}", setting=False)
