"""What an operator may choose. Every limit of the server stands here, with its default."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path

from heyjetson.languages import DEFAULT

SOUND_SHARE = 2.0  # of a recording's length, that work on it may take on top: no device that is useful is slower


def _state() -> Path:
    """Where results are kept: the XDG base directory specification's place for them."""
    return Path(os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state") / "heyjetson"


@dataclass(frozen=True)
class Settings:
    """How the server runs.

    Args:
        bundle: of speech; the model of all pages.
        trigger: a trigger bundle, or None.
        data: manifests (JSON lines) or folders of them, for the pages that look at a data set.
        engines: further engines to compare with, `name=bundles/other`, `name=openai:https://host/v1#model` or
            `name=azure:region`; their keys come from the environment.
        threads: of onnxruntime within an operator.
        provider: see `heyjetson.runtime`.
        scorer: language model, see `Engine.decoder`.
        language: code of what the model writes; clients that ask for another are refused.
        workers: recordings that are transcribed at once.
        queue: recordings that wait; one more is answered 503.
        work_seconds: that a piece of work may take before it is given up; a recording has `SOUND_SHARE` times its own
            length on top.
        streams: live streams at once; one more is refused.
        streams_per_client: of these, that one client may hold; None is half of them. A client is a key, or an address.
        connections: at once, and of one client a quarter; one more takes the place of an idle one, or is refused.
        upload_bytes: of a request at most.
        upload_seconds: that a request's body may take to arrive.
        idle_seconds: without a byte of a body, or of a live stream, before the connection is ended.
        audio_seconds: of a recording at most.
        decode_seconds: of processor time that decoding a file may take.
        decode_bytes: of memory that all decoded recordings in work may take, and each process that decodes.
        keys: accepted API keys; none leaves the server open.
        requests_per_minute: of one client; 0 sets no limit.
        keep: folder for the recordings of users who agree, or None: nothing is kept.
        keep_bytes: that the folder may hold; then nothing more is kept.
        state: folder of the results.
        results_bytes: that the results may take; then no run is begun or goes on.
        free_bytes: that are left free on the disks of `keep` and `state`.
        log_lines: of a minute at most, of requests and other news, and as many of warnings and faults.
        shutdown_seconds: that running work is given to end, all in all.
        hosts: names under which the server answers; empty answers to any.
        addresses: whether it answers under any address, too, where `hosts` names some.
        proxies: addresses and networks whose X-Forwarded-For is believed.
    """

    bundle: Path
    trigger: Path | None = None
    data: tuple[Path, ...] = ()
    engines: tuple[str, ...] = ()
    threads: int = 1
    provider: str = "auto"
    scorer: str | None = None
    language: str = DEFAULT
    workers: int = field(default_factory=lambda: max((os.cpu_count() or 2) - 1, 1))
    queue: int = 16
    work_seconds: float = 60.0
    streams: int = 64
    streams_per_client: int | None = None
    connections: int = 1024
    upload_bytes: int = 25 * 2**20
    upload_seconds: float = 120.0
    idle_seconds: float = 30.0
    audio_seconds: float = 3600.0
    decode_seconds: int = 30
    decode_bytes: int = 2**30
    keys: tuple[str, ...] = ()
    requests_per_minute: int = 0
    keep: Path | None = None
    keep_bytes: int = 10 * 2**30
    state: Path = field(default_factory=_state)
    results_bytes: int = 2**30
    free_bytes: int = 2**30
    log_lines: int = 6000
    shutdown_seconds: float = 30.0
    hosts: tuple[str, ...] = ()
    addresses: bool = False
    proxies: tuple[str, ...] = ()

    @property
    def share(self) -> int:
        """Live streams that one client may hold."""
        return max(self.streams // 2, 1) if self.streams_per_client is None else self.streams_per_client

    @property
    def bodies_bytes(self) -> int:
        """Of all requests' bodies at once: as many uploads as can be in work or wait."""
        return (self.workers + self.queue) * self.upload_bytes
