"""How much may be written: recordings and results have a bound each, and leave room on their disks."""

from __future__ import annotations

from pathlib import Path

from heyjetson.server.disk_space import Want, room_of
from heyjetson.server.errors import FullError


class Quota:
    """A bound on what a folder holds, and room that is left on its disk.

    Args:
        what: is written, for the metrics, and with `whose` for sentences.
        whose: more of what it is.
        folder: it is written to.
        most: bytes that it may take; None sets no bound.
        free: bytes that are left free on the disk.
        cure: a sentence on what can be done, with a place for what the operator can do.
        option: that sets `most`.
    """

    def __init__(self, what: str, whose: str, folder: Path, most: int | None, free: int, cure: str, option: str):
        self.what, self.whose, self.folder, self.most, self.free = what, whose, folder, most, free
        self.cure, self.option = cure, option
        self.want = Want(what)

    def require(self, held: int, more: int = 1) -> None:
        """May more be written?

        Args:
            held: bytes that are there.
            more: bytes.

        Raises:
            FullError: not.
        """
        if self.most is not None and held + more > self.most:
            told = f"The {self.what} {self.whose} take {held / 2**20:.0f} MiB, as much as they may. "
            told += self.cure.format(f"raises {self.option}")
        elif room_of(self.folder) - more < self.free:
            told = f"The disk of the {self.what} is nearly full. " + self.cure.format("lowers --min-free-mib")
        else:
            self.want.over()
            return
        self.want.tell(told)
        raise FullError(told)
