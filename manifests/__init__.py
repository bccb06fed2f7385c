"""From a dataset to checked manifests. `python -m manifests --help` lists the commands.

A manifest is a JSON-lines file, one utterance a line:
`{"audio_filepath": "wavs/0001.wav", "duration": 2.31, "text": "turn on the light"}`.
Relative paths are relative to the manifest, so a corpus folder can be moved.
"""

from manifests.lines import ManifestError, Utterance, read_manifest, write_manifest

__all__ = ["ManifestError", "Utterance", "read_manifest", "write_manifest"]
