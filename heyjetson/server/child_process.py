"""Processes of our own beside the server: what it starts, tells and ends, and what they make of themselves.

A process has a pipe for its tasks and one for its answers. A task is a line of JSON and bytes; an answer is messages of
a letter, a length and a body. One that breaks or takes too long is killed, which no thread can be.
"""

from __future__ import annotations

import json
import os
import resource
import signal
import struct
import subprocess
import sys
from pathlib import Path
from typing import IO, Any, BinaryIO

MESSAGE = struct.Struct("<cQ")
# What nothing in a task does: the system kills so where memory is short, and so do people.
BY_OTHERS = (-signal.SIGKILL, -signal.SIGTERM, -signal.SIGHUP, -signal.SIGINT)
ENVIRONMENT = ("PATH", "LD_LIBRARY_PATH", "LANG", "LC_ALL", "SYSTEMROOT")  # what a child needs; no keys are among it

Child = subprocess.Popen[bytes]


class RefusedError(Exception):
    """What the sender has to know: status, code and sentence."""


def limit(memory: int) -> None:
    """What this process may use. Signals to the whole group are the server's to answer, which closes the pipe."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_AS, (memory, memory))
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
    resource.setrlimit(resource.RLIMIT_NOFILE, (16, 16))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def send(target: BinaryIO, letter: bytes, body: Any) -> None:
    """Write a message: bytes as they are, all else as JSON."""
    body = body if isinstance(body, bytes) else json.dumps(body).encode()
    target.write(MESSAGE.pack(letter, len(body)))
    target.write(body)


def receive(source: IO[bytes]) -> tuple[bytes, bytes]:
    """Read a message: its letter and its body.

    Raises:
        EOFError: the process has ended.
    """
    letter, length = MESSAGE.unpack(_read(source, MESSAGE.size))
    return letter, _read(source, length)


def _read(source: IO[bytes], size: int) -> bytes:
    data = source.read(size)
    if len(data) < size:
        raise EOFError
    return data


def spawn(script: Path, memory: int) -> Child:
    """Start a process; returns before it is ready.

    Args:
        script: is given the memory.
        memory: bytes of address space that it may have.

    Raises:
        OSError: it cannot be started.
    """
    # As a module it would import its package first; the folder of a script would come first in its path.
    code = f"import runpy, sys; sys.path[:] = {sys.path!r}; runpy.run_path({str(script)!r}, run_name='__main__')"
    environment = {name: os.environ[name] for name in ENVIRONMENT if name in os.environ}
    return subprocess.Popen(
        [sys.executable, "-c", code, str(memory)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env=environment | {"OPENBLAS_NUM_THREADS": "1"},
    )


def ended(child: Child) -> int | None:
    """End a process that has broken off, and say how it ended; None where only this ended it."""
    try:
        status = child.wait(1.0)  # its pipes close before it is gone
    except subprocess.TimeoutExpired:
        status = None
    end(child)
    return status


def end(child: Child) -> None:
    """End a process, and wait until it is gone."""
    child.kill()
    for pipe in (child.stdin, child.stdout):
        try:
            if pipe:
                pipe.close()
        except OSError:  # what had not been written cannot be any more
            pass
    child.wait()
