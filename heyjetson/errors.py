"""Everything this package raises on purpose. A message says what is wrong and what to do."""


class HeyJetsonError(Exception):
    """Base of all errors of this package."""


class BundleError(HeyJetsonError):
    """A bundle is missing, damaged, or from a newer version."""


class AudioError(HeyJetsonError):
    """A recording cannot be read, or holds nothing that can be transcribed."""


class UnknownFormatError(AudioError):
    """What was given is in no format that is read here."""


class EmptyError(AudioError):
    """A recording that holds no sound."""


class SegmentError(AudioError):
    """A recording ends before a segment of it does."""


class StreamError(HeyJetsonError):
    """A stream is used in a way that it cannot be."""


class OptionError(HeyJetsonError, ValueError):
    """A choice that cannot work."""


class ProviderError(HeyJetsonError):
    """What was asked to run the graph is not on this device."""


class DecoderError(HeyJetsonError):
    """A decoder cannot be made as asked, or is used in a way that it cannot be."""


class ScorerError(HeyJetsonError):
    """A scorer is missing, damaged, made for other labels, or from a newer version."""
