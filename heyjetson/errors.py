"""Everything this package raises on purpose. A message says what is wrong and what to do."""

import errno
import os

NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)  # a full disk, a quota, a limit on files


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


def refused_by_system(error: OSError) -> str | None:
    """What the system refused, as a sentence with its cure; None where it names neither a file nor a full disk, or
    where a reader has left.

    >>> refused_by_system(PermissionError(13, "Permission denied", "out/a.txt"))
    'out/a.txt: Permission denied. Correct its rights, or choose another place.'
    >>> refused_by_system(IsADirectoryError(21, "Is a directory", "a.part", None, "a"))  # a move fails where it goes
    'a: Is a directory. Name a file.'
    """
    if error.errno in NO_ROOM:
        where = f"{error.filename}: " if error.filename else ""
        return f"{where}{error.strerror}. Make room, or choose another place."
    if error.errno in (None, errno.EPIPE) or not error.filename:
        return None
    cures = {
        errno.EACCES: "Correct its rights, or choose another place.",
        errno.EPERM: "Correct its rights, or choose another place.",
        errno.EROFS: "Choose another place.",
        errno.ENOENT: "Correct the path.",
        errno.ENOTDIR: "Correct the path.",
        errno.EISDIR: "Name a file.",
        errno.EEXIST: "Choose another name.",
        errno.ENAMETOOLONG: "Choose a shorter name.",
    }
    said = f"{os.fsdecode(error.filename2 or error.filename)}: {error.strerror}."
    return f"{said} {cures[error.errno]}" if error.errno in cures else said


def no_room(error: BaseException | None) -> OSError | None:
    """The full disk behind an error, or None where that is not what it is about."""
    while error is not None:
        if isinstance(error, OSError) and error.errno in NO_ROOM:
            return error
        error = error.__cause__ or error.__context__
    return None
