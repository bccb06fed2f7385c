"""A Python that has imported NeMo already: its commands run in processes of their own, without ten seconds for each.

`python_in(folder, owner)` gives the path of a program that takes the place of `sys.executable`. It hands its arguments,
environment, working folder and open files to a server, which has the imports done and forks; signals go to the forked
process, its end comes back as a status, and it dies with the program that was started, as a command itself would.
Where `python -X …` or the like is asked for, it is the ordinary interpreter.
"""

from __future__ import annotations

import atexit
import fcntl
import gc
import importlib
import json
import logging
import multiprocessing.util
import os
import runpy
import selectors
import signal
import socket
import struct
import subprocess
import sys
import threading
import time
import traceback
import weakref
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
IMPORTS = (
    "experiments.training.fit",
    "experiments.data.preflight",
    "experiments.evaluation.evaluate",
    "experiments.pretrained.restore",
    "experiments.export.bundle",
    "experiments.tracking.lineage",
    "wandb",
    "nemo.collections.asr",
)
# Needs nothing but a few modules of the standard library, so that it starts at once.
CLIENT = """import json, os, signal, socket, struct, sys
given, python, address = sys.argv[1:], {python!r}, {address!r}
# Import nothing; the first names its job by its process, the second is looked for by its environment.
light = ("submitit.local._local", "tests/experiments/sweep_program.py")
if not given or (given[0].startswith("-") and given[0] not in ("-m", "-c", "-u")) or set(light) & set(given):
    os.execv(python, [python, *given])
server = socket.socket(socket.AF_UNIX)
server.connect(address)
def tell(number, frame):
    server.sendall(bytes([number]))
ignored = []
for number in (signal.SIGHUP, signal.SIGINT, signal.SIGTERM, signal.SIGUSR1, signal.SIGUSR2):
    if signal.getsignal(number) == signal.SIG_IGN:
        ignored.append(int(number))
files = [int(name) for name in os.listdir("/proc/self/fd")]
files = [file for file in files if file != server.fileno() and os.path.exists(f"/proc/self/fd/{{file}}")]
request = json.dumps(
    {{"arguments": given, "environment": dict(os.environ), "folder": os.getcwd(), "files": files, "ignored": ignored,
      "leads": os.getpgrp() == os.getpid()}}
).encode()
socket.send_fds(server, [struct.pack("!I", len(request))], files)
server.sendall(request)
for number in (signal.SIGHUP, signal.SIGINT, signal.SIGTERM, signal.SIGUSR1, signal.SIGUSR2):
    if number not in ignored:
        signal.signal(number, tell)
for file in files:
    if file > 2:
        os.close(file)
status = struct.unpack("!i", server.recv(4))[0]
if status < 0:
    if -status != signal.SIGKILL:
        signal.signal(-status, signal.SIG_DFL)
    os.kill(os.getpid(), -status)
os._exit(status)
"""


def python_in(folder: Path, owner: int) -> str:
    """The program that takes the place of the interpreter; its server is started by whoever asks first.

    Args:
        folder: shared by all who share the server.
        owner: the process with which the server ends.
    """
    program, address = folder / "python", folder / "warm"
    with (folder / "warm.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not program.exists():
            with (folder / "warm.log").open("w") as log:
                server = subprocess.Popen(
                    [sys.executable, "-m", "tests.warm", str(address), str(owner)],
                    cwd=ROOT, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True,
                )  # fmt: skip
            while not address.exists():
                assert server.poll() is None, (folder / "warm.log").read_text()
                time.sleep(0.01)
            code = folder / "python.py"
            code.write_text(CLIENT.format(python=sys.executable, address=str(address)))
            program.write_text(f'#!/bin/sh\nexec "{sys.executable}" -IS "{code}" "$@"\n')
            program.chmod(0o755)
    return str(program)


class Server:
    """Forks a process for each command.

    Args:
        address: of its socket, a file; the program beside it is what commands find as their interpreter.
        owner: the process with which it ends.
    """

    def __init__(self, address: str, owner: int):
        self.program = str(Path(address).with_name("python"))
        self.listening = socket.socket(socket.AF_UNIX)
        self.listening.bind(address)
        self.listening.listen(64)
        self.owner = os.pidfd_open(owner)
        self.children: dict[socket.socket, tuple[int, int, bool]] = {}  # a process, its descriptor, whether it leads
        self.selector = selectors.DefaultSelector()

    def request(self) -> dict[str, Any] | None:
        """Fork for each command, for ever: a command in a process forked for it, nothing once the owner has ended."""
        self.selector.register(self.listening, selectors.EVENT_READ)
        self.selector.register(self.owner, selectors.EVENT_READ)
        while True:
            for key, _ in self.selector.select():
                if key.fileobj == self.owner:
                    for pid, _, _ in self.children.values():
                        os.kill(pid, signal.SIGKILL)
                    return None
                if key.fileobj == self.listening:
                    if given := self._start(self.listening.accept()[0]):
                        return given
                elif key.data is None:
                    self._pass_on(key.fileobj)
                elif key.data in self.children:
                    self._end(key.data)

    def _start(self, client: socket.socket) -> dict[str, Any] | None:
        head, files, _, _ = socket.recv_fds(client, 4, 250)
        text, size = b"", struct.unpack("!I", head)[0] if len(head) == 4 else 0
        while len(text) < size and (more := client.recv(size - len(text))):
            text += more
        if not size or len(text) < size:  # killed while it asked
            client.close()
            for file in files:
                os.close(file)
            return None
        given = json.loads(text)
        if pid := os.fork():
            for file in files:
                os.close(file)
            child = os.pidfd_open(pid)
            self.children[client] = pid, child, given["leads"]
            self.selector.register(client, selectors.EVENT_READ)
            self.selector.register(child, selectors.EVENT_READ, client)
            return None
        os.setpgid(0, 0)
        self.selector.close()
        for each in (self.listening, client, *self.children):
            each.close()
        for _, descriptor, _ in self.children.values():
            os.close(descriptor)
        os.close(self.owner)
        self._take(files, given["files"])
        return given

    @staticmethod
    def _take(files: list[int], numbers: list[int]) -> None:
        """Give the open files the numbers they had where they come from."""
        high = max([*numbers, *files]) + 1
        moved = [fcntl.fcntl(file, fcntl.F_DUPFD, high) for file in files]
        for file in files:
            os.close(file)
        for file, number in zip(moved, numbers, strict=True):
            os.dup2(file, number)
            os.close(file)

    def _pass_on(self, client: socket.socket) -> None:
        """A signal that a program got; one that has gone takes its process along."""
        pid, _, leads = self.children[client]
        try:
            numbers = client.recv(64)
        except ConnectionError:
            numbers = b""
        if not numbers:
            self.selector.unregister(client)
            os.kill(pid, signal.SIGKILL)
        for number in numbers:
            with suppress(ProcessLookupError):
                os.killpg(pid, number) if leads else os.kill(pid, number)

    def _end(self, client: socket.socket) -> None:
        pid, child, _ = self.children.pop(client)
        status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        with suppress(OSError):
            client.sendall(struct.pack("!i", status))
        for each in (client, child):
            with suppress(KeyError):
                self.selector.unregister(each)
        client.close()
        os.close(child)


def become(given: dict[str, Any], program: str) -> None:
    """Be the command: `script ARGUMENTS`, `-m module ARGUMENTS` or `-c code ARGUMENTS`, after `-u` or not."""
    import random

    import numpy as np

    random.seed()
    np.random.seed(None)
    # What the imports left to be done at the end is the server's, above all W&B's folder for media, which is removed.
    atexit._clear()
    for finalizer in list(weakref.finalize._registry):  # type: ignore[attr-defined]
        finalizer.atexit = False
    weakref.finalize._registered_with_atexit = False  # type: ignore[attr-defined]
    atexit.register(logging.shutdown)
    atexit.register(multiprocessing.util._exit_function)  # type: ignore[attr-defined]
    os.chdir(given["folder"])
    earlier = os.environ.get("PYTHONPATH", "")
    os.environ.clear()
    os.environ.update(given["environment"])
    for number in (signal.SIGHUP, signal.SIGTERM, signal.SIGUSR1, signal.SIGUSR2):
        signal.signal(number, signal.SIG_IGN if number in given["ignored"] else signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.SIG_IGN if signal.SIGINT in given["ignored"] else signal.default_int_handler)
    arguments = given["arguments"]
    unbuffered = bool(os.environ.get("PYTHONUNBUFFERED")) or arguments[0] == "-u"
    arguments = arguments[1:] if arguments[0] == "-u" else arguments
    if unbuffered:
        sys.stdout.reconfigure(write_through=True)  # type: ignore[union-attr]
    sys.executable = program
    if "ipykernel_launcher" in arguments:  # a kernel chooses by environment where to draw, before the first import
        import matplotlib

        matplotlib.rcParams["backend"] = "module://matplotlib_inline.backend_inline"
    rest = sys.path[1:]  # the first is that of the server; an editable install may have the same further down
    added = os.environ.get("PYTHONPATH", "")
    rest = [*(added.split(os.pathsep) if added and added != earlier else []), *rest]
    first = "" if arguments[0] in ("-m", "-c") else str(Path(arguments[0]).resolve().parent)
    sys.path[:] = [os.getcwd() if arguments[0] == "-m" else first, *rest]
    for entry in rest:
        if added != earlier and (custom := Path(entry, "sitecustomize.py")).is_file() and entry in added:
            runpy.run_path(str(custom))
    if arguments[0] == "-m":
        sys.argv = [arguments[1], *arguments[2:]]
        runpy.run_module(arguments[1], run_name="__main__", alter_sys=True)
    elif arguments[0] == "-c":
        sys.argv = ["-c", *arguments[2:]]
        main = type(sys)("__main__")
        sys.modules["__main__"] = main
        exec(compile(arguments[1], "<string>", "exec"), main.__dict__)
    else:
        sys.argv = arguments
        runpy.run_path(arguments[0], run_name="__main__")


def end(task: Callable[[], None]) -> None:
    """Run it and end as Python does; C libraries' own exits wait for threads that a forked process lacks."""
    status = 0
    try:
        task()
    except SystemExit as error:
        status = error.code if isinstance(error.code, int) else int(error.code is not None)
        if status and not isinstance(error.code, int):
            print(error.code, file=sys.stderr)
    except KeyboardInterrupt:
        traceback.print_exc()
        status = -signal.SIGINT
    except BaseException:
        traceback.print_exc()
        status = 1
    threading._shutdown()  # type: ignore[attr-defined]
    atexit._run_exitfuncs()
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError, ValueError):
            stream.flush()
    if status < 0:
        signal.signal(-status, signal.SIG_DFL)
        os.kill(os.getpid(), -status)
    os._exit(status & 0xFF)


def serve(address: str, owner: int) -> None:
    """Import, then fork for each command until the owner has ended."""
    server = Server(address, owner)
    from experiments.cli.guarded import quiet
    from experiments.cli.log_levels import set_log_levels
    from experiments.cli.overrides import check_overrides
    from tests.thrift import compose_once

    quiet()
    set_log_levels()
    for name in IMPORTS:
        importlib.import_module(name)
    compose_once()
    check_overrides("train", [])  # what nearly all of the commands compose
    gc.collect()
    gc.freeze()
    if given := server.request():
        end(lambda: become(given, server.program))


if __name__ == "__main__":
    serve(sys.argv[1], int(sys.argv[2]))
