"""A bundle of this device as an engine."""

from __future__ import annotations

import threading
from pathlib import Path

from heyjetson.bundle import file_hash
from heyjetson.engine import Engine as Model
from heyjetson.formats import word_records
from heyjetson.server.audio.uploads import Clip
from heyjetson.server.engines.base import TranscriptionResult, mean_confidence
from heyjetson.server.settings import SOUND_SHARE
from heyjetson.server.transcribe.transcription_job import TranscriptionJob
from heyjetson.server.workers import Workers


class BundleEngine:
    """Runs a bundle on the server's threads for files, behind the requests that came before.

    Args:
        name: what clients call it.
        kind: `model` for the served bundle, `bundle` for others.
        model: loaded.
        files: the threads.
        scorer: of its decoder, see `heyjetson.Engine.decoder`.
    """

    local = True

    def __init__(self, name: str, kind: str, model: Model, files: Workers, scorer: str | None):
        self.name, self.kind = name, kind
        self.model, self.files, self.scorer = model, files, scorer
        parts = model.bundle.manifest["files"]
        helps = model.bundle.scorer_for(scorer)
        helped = parts["scorer"]["sha256"] if helps == "bundle" else file_hash(Path(helps)) if helps else ""
        self.identity = f"{parts[model.bundle.graph.name]['sha256']} {helped}"

    async def transcribe(self, clip: Clip) -> TranscriptionResult:
        """See `Engine.transcribe`; the time is that of the model, without that of waiting."""
        cancelled = threading.Event()
        return await self.files.run(
            self._transcribe, clip, cancelled, more=SOUND_SHARE * clip.seconds, cancelled=cancelled
        )

    def _transcribe(self, clip: Clip, cancelled: threading.Event) -> TranscriptionResult:
        job = TranscriptionJob(self.model, clip, self.model.decoder(self.scorer), cancelled)
        result = job.final()
        words = word_records(result.words)
        return TranscriptionResult(result.text, job.taken, words, mean_confidence(words))

    async def close(self) -> None:
        """Nothing to end."""
