"""On the PYTHONPATH of a watched process: notes whom Python code calls and what it writes; refuses the network.

It is the watch where strace is not installed: libraries of native code are out of its sight.
"""

import ipaddress
import json
import os
import socket
import sys

_LOG = os.environ.get("WATCH_LOG", "")
_FILE = os.open(_LOG, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600) if _LOG else -1
# Which argument names what is changed, and which the folder that it is relative to.
_CHANGES = {
    "os.mkdir": (0, 2),
    "os.rename": (1, 3),
    "os.link": (1, 3),
    "os.symlink": (1, 2),
    "os.remove": (0, 1),
    "os.rmdir": (0, 1),
}


def _is_here(host: object) -> bool:
    if host in (None, "", "localhost", b"localhost"):
        return True
    try:
        address = ipaddress.ip_address(host.decode() if isinstance(host, bytes) else str(host))
    except ValueError:
        return False
    return address.is_loopback or address.is_unspecified


def _note(kind: str, what: object) -> None:
    text = os.fsdecode(what) if isinstance(what, (str, bytes, os.PathLike)) else str(what)
    os.write(_FILE, (json.dumps([kind, text]) + "\n").encode())


def _path(what: object, folder: int = -1) -> str:
    base = os.readlink(f"/proc/self/fd/{folder}") if folder >= 0 else os.getcwd()
    return os.path.normpath(os.path.join(base, os.fsdecode(what)))  # type: ignore[arg-type]


def _watch(event: str, arguments: tuple) -> None:
    if event in ("socket.connect", "socket.sendto"):
        address = arguments[1]
        if isinstance(address, tuple) and not _is_here(address[0]):
            _note("called", address[0])
            raise OSError(f"no network: {address[0]}")
    elif event in ("socket.getaddrinfo", "socket.gethostbyname"):
        if not _is_here(arguments[0]):
            _note("called", arguments[0])
            raise socket.gaierror(f"no resolver: {arguments[0]}")
    elif event == "open" and not isinstance(arguments[0], int):
        mode, flags = arguments[1], arguments[2]
        if (flags if mode is None else flags or 0) & (os.O_WRONLY | os.O_RDWR | os.O_CREAT):
            _note("wrote", _path(arguments[0]))
    elif event in _CHANGES:
        named, relative = _CHANGES[event]
        path = _path(arguments[named], arguments[relative])
        if event != "os.mkdir" or not os.path.exists(path):  # the event comes before the call, which would fail
            _note("wrote", path)


if _LOG:
    sys.addaudithook(_watch)
