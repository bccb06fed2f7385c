"""Language models for a bundle: estimate an n-gram, pack it, tune its weights. `python -m experiments.lm --help`."""


class LmError(Exception):
    """What is wrong with a language model or its texts, in a sentence with the cause and the cure."""
