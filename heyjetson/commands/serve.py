"""`heyjetson serve`: a bundle as a web site and an API."""

from __future__ import annotations

import argparse
import importlib.util
import ipaddress
import os
import socket
import stat
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from heyjetson.commands import add_engine_options, command
from heyjetson.errors import HeyJetsonError, OptionError
from heyjetson.languages import DEFAULT, checked

if TYPE_CHECKING:
    from heyjetson.server.settings import Settings

KEYS = "HEYJETSON_API_KEYS"
LOCAL = ("localhost", "127.0.0.1", "::1")
NEEDED = ("fastapi", "uvicorn", "websockets", "python_multipart", "jinja2", "prometheus_client", "limits", "httpx")


def add(subparsers: Any) -> None:
    """Add the command."""
    parser = command(
        subparsers,
        "serve",
        "serve a bundle as web pages and as an API that OpenAI's clients understand; Ctrl-C ends it",
        "  heyjetson serve bundles/streaming\n"
        "  heyjetson serve bundles/streaming --trigger wake/ --data manifests/test.jsonl\n"
        "  heyjetson serve bundles/streaming --host 0.0.0.0 --key-file keys.txt --certificate cert.pem "
        "--private-key key.pem\n"
        "  heyjetson serve bundles/streaming --engine other=bundles/other --engine "
        "'cloud=openai:https://api.openai.com/v1#gpt-transcribe'\n"
        "  curl -F file=@hello.wav http://127.0.0.1:8000/v1/audio/transcriptions",
    )
    add_engine_options(parser)
    parser.add_argument("--lm", nargs="?", const="bundle", metavar="SCORER", help="language model; alone: the bundle's")
    parser.add_argument("--language", default=DEFAULT, metavar="CODE", help="that the model writes (default en)")
    parser.add_argument("--trigger", type=Path, metavar="DIR", help="trigger bundle, for the page Live and /v1/listen")
    parser.add_argument("--data", type=Path, action="append", default=[], metavar="PATH", help="manifest, or a folder")
    parser.add_argument(
        "--engine", action="append", default=[], metavar="NAME=WHERE", help="to compare with: a bundle, openai:URL, …"
    )
    parser.add_argument("--state", type=Path, metavar="DIR", help="keeps results (default ~/.local/state/heyjetson)")
    parser.add_argument("--keep", type=Path, metavar="DIR", help="keeps the recordings of users who agree")
    group = parser.add_argument_group("address")
    group.add_argument("--host", default="127.0.0.1", help="to listen on (default 127.0.0.1: this machine alone)")
    group.add_argument("--port", type=int, default=8000, help="where clients call; 0 takes a free one (default 8000)")
    group.add_argument("--certificate", type=Path, metavar="FILE", help="PEM; browsers give the microphone to https")
    group.add_argument("--private-key", type=Path, metavar="FILE", help="PEM, of the certificate")
    group.add_argument(
        "--proxy", action="append", default=[], metavar="IP", help="believe its X-Forwarded-For; or a network"
    )
    group.add_argument(
        "--host-name",
        action="append",
        default=[],
        metavar="NAME",
        help="answer under this name alone; without keys under the machine's own names, too",
    )
    group = parser.add_argument_group("who may ask")
    group.add_argument(
        "--key-file", type=Path, metavar="FILE", help=f"an API key a line; {KEYS} in the environment has them by commas"
    )
    group.add_argument(
        "--requests-per-minute", type=int, default=0, metavar="N", help="of a client (default: no limit)"
    )
    group = parser.add_argument_group("limits")
    group.add_argument("--workers", type=int, metavar="N", help="recordings at once (default: CPU cores less one)")
    group.add_argument("--queue", type=int, default=16, metavar="N", help="recordings that wait (default 16)")
    group.add_argument("--streams", type=int, default=64, metavar="N", help="live streams at once (default 64)")
    group.add_argument(
        "--streams-per-client", type=int, metavar="N", help="of these, that one client may hold (default: half)"
    )
    group.add_argument(
        "--connections", type=int, default=1024, metavar="N", help="at once, a quarter of one client (default 1024)"
    )
    group.add_argument(
        "--work-seconds",
        type=float,
        default=60,
        metavar="N",
        help="of a request's work, and twice its sound (default 60)",
    )
    group.add_argument("--keep-mib", type=int, default=10240, metavar="N", help="all that --keep keeps (default 10240)")
    group.add_argument("--max-results-mib", type=int, default=1024, metavar="N", help="all runs (default 1024)")
    group.add_argument(
        "--min-free-mib",
        type=int,
        default=1024,
        metavar="N",
        help="left free on disks of --keep, --state (default 1024)",
    )
    group.add_argument(
        "--log-lines", type=int, default=6000, metavar="N", help="a minute, and as many warnings (default 6000)"
    )
    group.add_argument("--max-upload-mib", type=float, default=25, metavar="N", help="of an upload (default 25)")
    group.add_argument("--max-minutes", type=float, default=60, metavar="N", help="of a recording (default 60)")
    group.add_argument(
        "--max-memory-mib", type=int, default=1024, metavar="N", help="of decoded recordings in work (default 1024)"
    )
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Serve until a signal ends it, and then end what is running."""
    missing = [name for name in NEEDED if importlib.util.find_spec(name) is None]
    if missing:
        raise HeyJetsonError(f'`heyjetson serve` needs {missing[0]}: pip install "heyjetson[server]".')
    settings = settings_of(options)
    if not settings.keys and not _loopback(options.host):
        print(
            f"heyjetson: everybody who reaches {options.host} can use this server: set keys with --key-file.",
            file=sys.stderr,
        )
    from heyjetson.server.run import serve

    return serve(settings, options.host, options.port, options.certificate, options.private_key)


def settings_of(options: argparse.Namespace) -> Settings:
    """The server's settings from the options.

    Raises:
        OptionError: a value that cannot work.
    """
    from heyjetson.server.settings import Settings

    least = {
        "threads": 1,
        "workers": 1,
        "queue": 0,
        "streams": 0,
        "streams_per_client": 1,
        "connections": 16,
        "requests_per_minute": 0,
        "port": 0,
    }
    least["max_memory_mib"] = 512  # a process that decodes needs as much address space
    least |= {"keep_mib": 1, "max_results_mib": 1, "min_free_mib": 0, "log_lines": 1}
    for name, lowest in least.items():
        value = getattr(options, name)
        if value is not None and value < lowest:
            raise OptionError(f"--{name.replace('_', '-')} must be at least {lowest}, found {value}.")
    if options.port > 65535:
        raise OptionError(f"--port must be at most 65535, found {options.port}.")
    for name in ("max_upload_mib", "max_minutes", "work_seconds"):
        if not getattr(options, name) > 0:
            raise OptionError(f"--{name.replace('_', '-')} must be above 0, found {getattr(options, name):g}.")
    if (options.certificate is None) != (options.private_key is None):
        raise OptionError("--certificate and --private-key belong together: give both.")
    keys = keys_of(options.key_file, os.environ.get(KEYS, ""))
    names = [name.lower() for name in options.host_name]
    loopback = _loopback(options.host)
    if not keys:
        names += own_names(options.host)  # another name for this machine is a trick of another site's page
    for proxy in options.proxy:
        _check_proxy(proxy)
    chosen: dict[str, Any] = {}
    if options.workers is not None:
        chosen["workers"] = options.workers
    if options.state is not None:
        chosen["state"] = options.state
    return Settings(
        bundle=Path(options.bundle),
        trigger=options.trigger,
        data=tuple(options.data),
        engines=tuple(options.engine),
        threads=options.threads,
        provider=options.provider,
        scorer=options.lm,
        language=checked(options.language),
        queue=options.queue,
        work_seconds=options.work_seconds,
        streams=options.streams,
        streams_per_client=options.streams_per_client,
        connections=options.connections,
        upload_bytes=round(options.max_upload_mib * 2**20),
        audio_seconds=options.max_minutes * 60,
        decode_bytes=options.max_memory_mib * 2**20,
        keys=keys,
        requests_per_minute=options.requests_per_minute,
        keep=options.keep,
        keep_bytes=options.keep_mib * 2**20,
        results_bytes=options.max_results_mib * 2**20,
        free_bytes=options.min_free_mib * 2**20,
        log_lines=options.log_lines,
        hosts=tuple(dict.fromkeys(names)),
        addresses=not keys and not loopback,
        proxies=tuple(options.proxy),
        **chosen,
    )


def own_names(host: str) -> list[str]:
    """Names of this machine: of the loopback, and those under which others reach it where it listens for them.

    Args:
        host: that is listened on.
    """
    names = [*LOCAL, host.lower()]
    if not _loopback(host):
        machine = socket.gethostname().lower()
        short = machine.partition(".")[0]
        names += [machine, short, f"{short}.local", socket.getfqdn().lower()]  # .local: mDNS, as Avahi announces it
    return list(dict.fromkeys(names))


def _check_proxy(proxy: str) -> None:
    try:
        ipaddress.ip_network(proxy, strict=False)
    except ValueError:
        raise OptionError(
            f"--proxy {proxy} is no address: name the proxy's, such as 127.0.0.1, or its network, such as 10.0.0.0/24."
        ) from None


def keys_of(file: Path | None, environment: str) -> tuple[str, ...]:
    """API keys of a file, one a line, and of the environment, between commas.

    Raises:
        OptionError: the file cannot be read, or has none.

    >>> keys_of(None, "one, two,")
    ('one', 'two')
    """
    lines: list[str] = []
    if file is not None:
        try:
            lines = file.read_text("utf-8").splitlines()
            others = file.stat().st_mode & (stat.S_IRGRP | stat.S_IROTH)
        except (OSError, UnicodeDecodeError) as error:
            raise OptionError(f"The keys in {file} cannot be read: {error}.") from None
        lines = [line.strip() for line in lines if line.strip() and not line.strip().startswith("#")]
        if not lines:
            raise OptionError(f"{file} holds no key: write one a line, for example of `openssl rand -hex 24`.")
        if others and not _secret_of_a_container(file):
            print(f"heyjetson: others on this machine can read the keys: chmod 600 {file}.", file=sys.stderr)
    return tuple(lines + [key.strip() for key in environment.split(",") if key.strip()])


def _secret_of_a_container(file: Path) -> bool:
    """Docker's secrets are readable to all in the container, where nobody else is."""
    return Path("/run/secrets") in file.absolute().parents


def _loopback(host: str) -> bool:
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
