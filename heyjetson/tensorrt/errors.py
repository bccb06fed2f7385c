"""What this package raises on purpose."""

from heyjetson.errors import HeyJetsonError


class TensorRTError(HeyJetsonError):
    """TensorRT or the GPU is missing, or an engine cannot be built, read or run."""
