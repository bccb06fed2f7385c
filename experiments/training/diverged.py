"""What a training that diverged is known by, to those that import no torch: its error and its exit status."""

from __future__ import annotations

STATUS = 3  # of a process whose training diverged


class DivergedError(RuntimeError):
    """The loss, the weights or a measure of a training are no numbers any more.

    Args:
        said: a sentence with cause and cure.
        step: after which it was seen.
        record: `step`, `reason`, and `learning_rate`, `gradient_norm`, `utterances` as far as they are known.
    """

    status = STATUS

    def __init__(self, said: str, step: int, record: dict[str, object]):
        super().__init__(said)
        self.step, self.record = step, record
