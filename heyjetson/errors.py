"""Everything this package raises on purpose. A message says what is wrong and what to do."""


class HeyJetsonError(Exception):
    """Base of all errors of this package."""


class BundleError(HeyJetsonError):
    """A bundle is missing, damaged, or from a newer version."""


class AudioError(HeyJetsonError):
    """A recording cannot be read, or holds nothing that can be transcribed."""
