"""
What errors of Redis mean, and what to do then.
"""

from __future__ import annotations

from typing import Final

from redis import exceptions

#: What an error of Redis begins with or contains, and what to do then.
_REMEDIES: Final = (
    ("'maxmemory'", "it is full: raise maxmemory, and see that maxmemory-policy is noeviction"),
    ("MISCONF", "it cannot write to its disk: look into its log"),
    ("READONLY", "it is a replica: give the address of the primary"),
    ("LOADING", "it is reading its data from the disk: wait until it has done so"),
    ("MASTERDOWN", "its primary is down: give the address of one that is up"),
    ("Authentication required", "it wants a password: write it into the address"),
    ("NOAUTH", "it wants a password: write it into the address"),
    ("WRONGPASS", "check the user and the password in the address"),
    ("invalid username-password", "check the user and the password in the address"),
    ("NOPERM", "allow this user the commands of scripts, and the keys of 'chariots:*'"),
    ("DB index", "the number of the database is out of range: correct the address"),
    ("MOVED", "it is a cluster: give the address of a single server"),
    ("refused", "start Redis there, or correct the host and the port of the address"),
    ("No such file", "start Redis there, or correct the path of the address"),
    ("not known", "correct the host of the address"),
    ("resolution", "correct the host of the address"),
    ("imeout", "check that it can be reached from here, and that it is not paused"),
)

#: Answers of a server that cannot work, whatever it is asked.
_UNABLE: Final = (
    exceptions.OutOfMemoryError,
    exceptions.ReadOnlyError,
    exceptions.NoPermissionError,
    exceptions.MovedError,
)


def is_outage(error: BaseException) -> bool:
    """
    Whether *error* says that the server is out of reach or cannot work, rather
    than that a command is wrong.
    """
    if isinstance(error, exceptions.ResponseError):
        return isinstance(error, _UNABLE) or str(error).startswith(("MISCONF", "MASTERDOWN"))
    return isinstance(error, (exceptions.ConnectionError, exceptions.TimeoutError, OSError))


def sentence(error: BaseException) -> str:
    """
    What *error* says, on one line, bounded, and what to do.
    """
    said = " ".join(str(error).split())[:400] or type(error).__name__
    return f"{said}; {_remedy(error)}"


def _remedy(error: BaseException) -> str:
    text = f"{type(error).__name__} {error}"
    for fragment, remedy in _REMEDIES:
        if fragment in text:
            return remedy
    return "check the address, and that the server is up"
