"""Runs a command without a network and says whom it called and what it wrote outside its own folders.

strace sees all of it, native code and child processes; where it is not installed an audit hook sees what Python code
does, and a look into the home what anything has left there.
"""

from __future__ import annotations

import functools
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.conftest import ROOT

HOOK = Path(__file__).with_name("hook")
CALLS = (
    "connect,sendto,sendmsg,sendmmsg,"
    "open,openat,creat,mkdir,mkdirat,rename,renameat,renameat2,"
    "link,linkat,symlink,symlinkat,unlink,unlinkat,rmdir,truncate"
)
# A name space of its own has no network but loopback, which is down at first (SIOCSIFFLAGS, IFF_UP | IFF_RUNNING).
ALONE = (
    "import fcntl, os, socket, struct, sys\n"
    "with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any:\n"
    "    fcntl.ioctl(any, 0x8914, struct.pack('16sh14x', b'lo', 0x41))\n"
    "os.execv(sys.argv[1], sys.argv[1:])"
)
# Of the caller's settings: what a program needs to run. None that decides on telemetry, caches or folders.
KEPT = ("PATH", "LANG", "LC_ALL", "LD_LIBRARY_PATH", "VIRTUAL_ENV", "OMP_NUM_THREADS", "SYSTEMROOT")
_WRITES = re.compile(r"O_WRONLY|O_RDWR|O_CREAT")
_NAMED = re.compile(r'(?:(?:AT_FDCWD|\d+)<(?P<base>[^>]*)>, )?"(?P<path>(?:[^"\\]|\\.)*)"')
_ADDRESS = re.compile(
    r'sin_port=htons\((\d+)\), sin_addr=inet_addr\("([^"]+)"\)|sin6_port=htons\((\d+)\).*?"([0-9a-f:.]+)"'
)
_RESOLVERS = ("/run/nscd", "/var/run/nscd", "/run/systemd/resolve", "/run/avahi-daemon", "/var/run/avahi-daemon")


@dataclass(frozen=True)
class Watched:
    """What a command did.

    Args:
        status: it ended with.
        output: standard output and standard error.
        called: hosts that it called or asked for; its own loopback is none.
        wrote: files and folders it made or changed outside the folders it was given.
    """

    status: int
    output: str
    called: list[str]
    wrote: list[str]


@functools.cache
def can_be_alone() -> bool:
    """Whether this machine lets us run a command without a network."""
    probe = ["unshare", "-rn", sys.executable, "-c", ALONE, sys.executable, "-c", ""]
    return shutil.which("unshare") is not None and subprocess.run(probe, capture_output=True).returncode == 0


@functools.cache
def can_trace() -> bool:
    """Whether this machine lets us trace a command."""
    probe = ["strace", "-f", "--seccomp-bpf", "-o", os.devnull, "true"]
    return shutil.which("strace") is not None and subprocess.run(probe, capture_output=True).returncode == 0


def watch(
    command: Sequence[object],
    folder: Path,
    own: Sequence[Path] = (),
    environment: Mapping[str, str] | None = None,
    trace: bool | None = None,
    timeout: float = 280,
    stdin: bytes = b"",
) -> Watched:
    """Run a Python command in the checkout, as a user who has set nothing.

    Args:
        command: arguments of the interpreter.
        folder: of this run alone; its home lies in it.
        own: further folders that the command was given to write into.
        environment: settings of the user's.
        trace: by strace; where it can be when None.
        timeout: seconds.
        stdin: what it can read there.
    """
    home, log = folder / "home", folder / "watched"
    home.mkdir(parents=True)
    trace = can_trace() if trace is None else trace
    settings = {name: os.environ[name] for name in KEPT if name in os.environ} | {"HOME": str(home)}
    words = [sys.executable, *map(str, command)]
    if trace:
        options = ["-f", "-qq", "-y", "-s", "4096", "--seccomp-bpf", "-o", str(log), "-e", f"trace={CALLS}"]
        words = ["strace", *options, *words]
    else:
        settings |= {"PYTHONPATH": str(HOOK), "WATCH_LOG": str(log)}
    words = [shutil.which(words[0]) or words[0], *words[1:]]
    if can_be_alone():
        words = ["unshare", "-rn", sys.executable, "-c", ALONE, *words]
    with tempfile.TemporaryDirectory() as temporary:  # a short path: in a long one W&B has no room for its socket
        settings |= {"TMPDIR": temporary, **(environment or {})}
        streams = {"input": stdin, "stdout": subprocess.PIPE, "stderr": subprocess.STDOUT}
        done = subprocess.run(words, cwd=ROOT, env=settings, timeout=timeout, **streams)
    lines = log.read_text(errors="replace").splitlines() if log.exists() else []
    called, wrote = _traced(lines) if trace else _noted(lines)
    wrote |= {str(path) for path in home.rglob("*") if not path.is_dir()}
    given = [Path(path).resolve() for path in (temporary, *own)]
    outside = sorted(path for path in wrote if not _is_own(path, given))
    return Watched(done.returncode, done.stdout.decode(errors="replace"), sorted(called), outside)


def _is_own(path: str, given: Sequence[Path]) -> bool:
    parts = Path(path).parts
    if parts[:2] in (("/", "proc"), ("/", "dev")) or "__pycache__" in parts:
        return True
    whole = Path(path).parent.resolve() / Path(path).name  # a link is where it lies, not what it points to
    return any(whole.is_relative_to(folder) or folder.is_relative_to(whole) for folder in given)


def _noted(lines: Sequence[str]) -> tuple[set[str], set[str]]:
    notes = [json.loads(line) for line in lines]
    return {what for kind, what in notes if kind == "called"}, {what for kind, what in notes if kind == "wrote"}


def _traced(lines: Sequence[str]) -> tuple[set[str], set[str]]:
    called, wrote = set(), set()
    for line in _whole(lines):
        call = line.partition("(")[0].split()[-1] if "(" in line else ""
        if call in ("connect", "sendto", "sendmsg", "sendmmsg"):
            for match in _ADDRESS.finditer(line):
                port, host = match[1] or match[3], match[2] or match[4]
                if port == "53" or not host.startswith(("127.", "::1", "::ffff:127.", "0.0.0.0")) and host != "::":
                    called.add(f"{host}:{port}")
            if any(f'sun_path="{resolver}' in line for resolver in _RESOLVERS) and "nscd" not in line:
                called.add("a resolver")
        elif call and " = -1 " not in line and (not call.startswith("open") or _WRITES.search(line)):
            named = list(_NAMED.finditer(line))
            if named:
                wrote.add(os.path.normpath(os.path.join(named[-1]["base"] or str(ROOT), named[-1]["path"])))
    return called, wrote


def _whole(lines: Sequence[str]) -> list[str]:
    """Lines of strace, those that another process cut in two put together."""
    begun: dict[str, str] = {}
    found = []
    for line in lines:
        process, _, rest = line.partition(" ")
        rest = rest.strip()
        if rest.endswith("<unfinished ...>"):
            begun[process] = rest.removesuffix("<unfinished ...>")
        elif rest.startswith("<... ") and process in begun:
            found.append(begun.pop(process) + rest.partition("resumed>")[2])
        else:
            found.append(rest)
    return found + list(begun.values())
