"""The one way to read sound, for the device, the server, manifests, training and evaluation.

It gives all of the sound, or an error that names the file and the cure; what is known to be missing is said.
"""

from heyjetson.audio.channels import CHANNELS, choose, to_mono
from heyjetson.audio.clipping import is_clipped
from heyjetson.audio.files import named
from heyjetson.audio.rates import resample
from heyjetson.audio.reading import SoundStream, load, measure, open_sound, read, read_sound
from heyjetson.audio.sound import Length, Sound, Source
from heyjetson.audio.suffixes import AUDIO, is_recording

__all__ = [
    "AUDIO",
    "CHANNELS",
    "Length",
    "Sound",
    "SoundStream",
    "Source",
    "choose",
    "is_clipped",
    "is_recording",
    "load",
    "measure",
    "named",
    "open_sound",
    "read",
    "read_sound",
    "resample",
    "to_mono",
]
