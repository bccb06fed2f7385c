"""What `describe` is answered: names, languages and versions of the models."""

from __future__ import annotations

from wyoming.info import AsrModel, AsrProgram, Attribution, Info, WakeModel, WakeProgram

import heyjetson
from heyjetson.bundle import Bundle, name_of
from heyjetson.wyoming.services import NAME, Services

PROJECT = Attribution("Hey, Jetson!", "")


def info(services: Services) -> Info:
    """The services as Wyoming's clients read them."""
    told = Info()
    if services.engine:
        bundle = services.engine.bundle
        model = AsrModel(
            name=name_of(bundle),
            attribution=PROJECT,
            installed=True,
            description=f"{name_of(bundle)}, {bundle.manifest['kind']}",
            version=_version(bundle),
            languages=[services.language],
        )
        told.asr.append(
            AsrProgram(
                name=NAME,
                attribution=PROJECT,
                installed=True,
                description="Hey, Jetson! speech to text",
                version=heyjetson.__version__,
                models=[model],
                supports_transcript_streaming=bundle.streams,
            )
        )
    if services.trigger:
        bundle = services.trigger.bundle
        models = [
            WakeModel(
                name=word,
                attribution=PROJECT,
                installed=True,
                description=word,
                version=_version(bundle),
                languages=[services.language],
                phrase=word,
            )
            for word in services.trigger.words
        ]
        told.wake.append(
            WakeProgram(
                name=NAME,
                attribution=PROJECT,
                installed=True,
                description="Hey, Jetson! wake words",
                version=heyjetson.__version__,
                models=models,
            )
        )
    return told


def _version(bundle: Bundle) -> str:
    """A model's version is its graph: the first digits of the hash that the bundle names."""
    return str(bundle.manifest["files"][bundle.graph.name]["sha256"])[:12]
