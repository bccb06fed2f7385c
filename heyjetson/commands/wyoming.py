"""`heyjetson wyoming`: speech to text and wake words for Home Assistant."""

from __future__ import annotations

import argparse
import asyncio
import importlib.util
import os
import sys
from pathlib import Path
from typing import Any

from heyjetson.commands import add_engine_options, command
from heyjetson.errors import HeyJetsonError, OptionError
from heyjetson.languages import DEFAULT, checked


def add(subparsers: Any) -> None:
    """Add the command."""
    parser = command(
        subparsers,
        "wyoming",
        "serve a bundle, and wake words, to Home Assistant and other clients of the Wyoming protocol; Ctrl-C ends it",
        "  heyjetson wyoming bundles/streaming --trigger wake/ --uri tcp://0.0.0.0:10300\n"
        "  heyjetson wyoming wake/ --uri tcp://0.0.0.0:10400\n"
        "  heyjetson wyoming bundles/streaming --uri unix:///run/heyjetson.sock",
    )
    add_engine_options(parser)
    parser.add_argument("--trigger", type=Path, metavar="DIR", help="trigger bundle, for wake words")
    parser.add_argument("--lm", nargs="?", const="bundle", metavar="SCORER", help="language model; alone: the bundle's")
    parser.add_argument("--language", default=DEFAULT, metavar="CODE", help="that the model writes (default en)")
    parser.add_argument(
        "--uri",
        default="tcp://127.0.0.1:10300",
        help="to listen on (default tcp://127.0.0.1:10300: this machine alone)",
    )
    group = parser.add_argument_group("limits")
    group.add_argument(
        "--workers", type=int, metavar="N", help="streams that are computed at once (default: CPU cores)"
    )
    group.add_argument("--connections", type=int, default=64, metavar="N", help="at once (default 64)")
    group.add_argument(
        "--idle-seconds", type=float, default=300, metavar="N", help="without an event, of a connection (default 300)"
    )
    group.add_argument("--max-minutes", type=float, default=10, metavar="N", help="of one transcription (default 10)")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Serve until a signal ends it."""
    if importlib.util.find_spec("wyoming") is None:
        raise HeyJetsonError('`heyjetson wyoming` needs the package wyoming: pip install "heyjetson[wyoming]".')
    for name, lowest in {"workers": 1, "connections": 1, "threads": 1}.items():
        value = getattr(options, name)
        if value is not None and value < lowest:
            raise OptionError(f"--{name} must be at least {lowest}, found {value}.")
    for name in ("idle_seconds", "max_minutes"):
        if not getattr(options, name) > 0:
            raise OptionError(f"--{name.replace('_', '-')} must be above 0, found {getattr(options, name):g}.")
    language = checked(options.language)
    from heyjetson.bundle import Bundle
    from heyjetson.engine import Engine
    from heyjetson.wakeword.trigger import Trigger
    from heyjetson.wyoming.server import Address, Server
    from heyjetson.wyoming.services import Services

    address = Address.of(options.uri)
    bundles = [Bundle(folder) for folder in (options.bundle, options.trigger) if folder is not None]
    if len(bundles) == 2 and (bundles[0].is_trigger or not bundles[1].is_trigger):
        raise OptionError("The first bundle must be one of speech, and that of --trigger a trigger.")
    opened: list[Any] = [
        (Trigger if bundle.is_trigger else Engine)(bundle, options.threads, options.provider) for bundle in bundles
    ]
    engine = next((one for one in opened if isinstance(one, Engine)), None)
    trigger = next((one for one in opened if isinstance(one, Trigger)), None)
    if options.lm:
        if engine is None:
            raise OptionError("--lm: no speech is written down. Leave it out.")
        engine.decoder(options.lm)  # opened before the first client needs it
    workers = options.workers or os.cpu_count() or 2
    services = Services(engine, trigger, options.lm, language, options.max_minutes * 60, workers)
    listener = address.listener()
    if address.host and address.host not in ("localhost", "127.0.0.1", "::1"):
        print(
            f"heyjetson: everybody who reaches {address.host} can use this service: Wyoming has no keys.",
            file=sys.stderr,
        )
    server = Server(services, options.connections, options.idle_seconds)
    asyncio.run(server.run(listener, address, lambda line: print(line, flush=True)))
    return 0
