"""The one way to read sound, for the device, the server, manifests, training and evaluation.

It gives all of the sound, or an error that names the file and the cure; what is known to be missing is said.
"""

from heyjetson.audio.channels import CHANNELS, to_mono
from heyjetson.audio.rates import resample
from heyjetson.audio.reading import Sound, load, read, read_sound

__all__ = ["CHANNELS", "Sound", "load", "read", "read_sound", "resample", "to_mono"]
