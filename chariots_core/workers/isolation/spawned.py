"""
The program of a spawned child: ``python -m chariots_core.workers.isolation.spawned``.

Its arguments are numbers only; where the app is comes over the socket.
"""

from __future__ import annotations

import os
import socket
import sys
from typing import cast

from chariots_core.errors import AppLoadError
from chariots_core.workers.app_specs import import_spec
from chariots_core.workers.contracts import RunnerApp
from chariots_core.workers.isolation.board import ProgressBoard
from chariots_core.workers.isolation.child import JobServer, become_child, reopen_output
from chariots_core.workers.isolation.failures import describe
from chariots_core.workers.isolation.wire import Broken, Channel, Hello


def main(parent: int, control_fd: int, board_fd: int) -> int:
    """
    Import the app, say so, and run its jobs until the runner closes the socket.

    Args:
        parent: the runner's process.
        control_fd: the socket to it.
        board_fd: the memory for reports.

    Returns:
        The exit code.
    """
    become_child(parent=parent, control=control_fd)
    reopen_output()
    control = socket.socket(fileno=control_fd)
    for fd in (control_fd, board_fd):
        os.set_inheritable(fd, False)
    channel = Channel(control)
    frame = channel.receive()
    if frame is None or not isinstance(frame.header, Hello):
        return 1
    try:
        app = import_app(frame.header)
        server = JobServer(app, control, ProgressBoard(board_fd))
        server.get_ready()
    except BaseException as error:  # noqa: BLE001  the module may raise anything; the runner tells
        channel.send(Broken(error=describe(error)))
        return 1
    server.serve()
    return 0


def import_app(hello: Hello) -> RunnerApp:
    """
    The app that *hello* names, imported as the runner would.

    Raises:
        AppLoadError: the module has no such attribute, or it is no app.
    """
    sys.path[:] = hello.path
    if hello.python_path is None:
        os.environ.pop("PYTHONPATH", None)
    else:
        os.environ["PYTHONPATH"] = hello.python_path
    found = import_spec(hello.app_spec)
    # A server carries its app.
    found = getattr(found, "chariots", found)
    if not callable(getattr(found, "execute_job", None)):
        raise AppLoadError(f"{hello.app_spec!r} is a {type(found).__name__}, not an app")
    return cast("RunnerApp", found)


if __name__ == "__main__":
    sys.exit(main(*map(int, sys.argv[1:4])))
