"""
The port that a server listens on: taken before it starts, so that all its
processes share it, and a port in use is known at once.
"""

from __future__ import annotations

import contextlib
import errno
import socket
from collections.abc import Iterator

from chariots_core.errors import ConfigurationError


@contextlib.contextmanager
def reserved_port(host: str, port: int) -> Iterator[tuple[str, int]]:
    """
    Hold a port for the processes of this server, while the block lasts.

    Args:
        host: the address to listen on.
        port: the port; 0 takes a free one.

    Returns:
        The address and the port, as numbers.

    Raises:
        ConfigurationError: it is in use, or the address is not this machine's.
    """
    family, address = _resolve(host, port)
    # Alone first: sharing the port would also be granted beside another server.
    with _bound(family, address, shared=False) as probe:
        number = int(probe.getsockname()[1])
    with _bound(family, (address[0], number), shared=True):
        yield address[0], number


def url_of(host: str, port: int) -> str:
    """
    Where a client of this machine finds the server.
    """
    shown = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104 - read, not bound
    return f"http://[{shown}]:{port}" if ":" in shown else f"http://{shown}:{port}"


def answers(host: str, port: int) -> bool:
    """
    Whether connections to the port are taken.
    """
    shown = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104 - read, not bound
    try:
        with socket.create_connection((shown, port), timeout=1.0):
            return True
    except OSError:
        return False


def _resolve(host: str, port: int) -> tuple[socket.AddressFamily, tuple[str, int]]:
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    except OSError as error:
        raise ConfigurationError(
            f"the host {host!r} cannot be listened on ({error}): give an address of this machine"
        ) from error
    return found[0], (str(found[4][0]), port)


def _bound(
    family: socket.AddressFamily, address: tuple[str, int], *, shared: bool
) -> socket.socket:
    holder = socket.socket(family, socket.SOCK_STREAM)
    try:
        holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if shared and hasattr(socket, "SO_REUSEPORT"):
            holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        holder.bind(address)
    except OSError as error:
        holder.close()
        raise _refused(error, address) from error
    return holder


def _refused(error: OSError, address: tuple[str, int]) -> ConfigurationError:
    host, port = address
    if error.errno == errno.EADDRINUSE:
        return ConfigurationError(
            f"port {port} of {host} is in use by another process: stop it, choose another "
            "port, or 0 for any free one"
        )
    if error.errno == errno.EACCES:
        return ConfigurationError(
            f"port {port} of {host} needs more rights than this process has: choose one over 1023"
        )
    return ConfigurationError(f"port {port} of {host} cannot be listened on: {error.strerror}")
