"""
The address of an op store server: read, and shown without its secrets.
"""

from __future__ import annotations

import base64
from typing import Final
from urllib.parse import unquote, urlsplit

import attrs

from chariots_core.errors import ConfigurationError

_FORMS: Final = "http://host:port or https://host/path"


@attrs.frozen(kw_only=True)
class ServerAddress:
    """
    Where a server is.

    Attributes:
        url: without the user and the password: it may be shown.
        headers: what the user and the password are sent as; never shown.
    """

    url: str
    headers: dict[str, str] = attrs.field(repr=False)


def is_server_address(text: str) -> bool:
    """
    Whether *text* is the address of a server, and not of a database.
    """
    return text.lower().startswith(("http://", "https://"))


def read_server_address(text: str) -> ServerAddress:
    """
    Read the address of a server.

    Raises:
        ConfigurationError: it is none. The message does not repeat it: it may
            hold a password.
    """
    wrong = ConfigurationError(
        f"the address of the op store server cannot be understood: write {_FORMS}"
    )
    try:
        parts = urlsplit(text)
        host, port = parts.hostname, parts.port
    except (ValueError, AttributeError, TypeError):
        raise wrong from None
    if host is None or not is_server_address(text) or parts.query or parts.fragment:
        raise wrong
    shown = f"[{host}]" if ":" in host else host
    where = shown if port is None else f"{shown}:{port}"
    headers = {}
    if parts.username is not None:
        login = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
        headers["Authorization"] = f"Basic {base64.b64encode(login.encode()).decode()}"
    return ServerAddress(url=f"{parts.scheme}://{where}{parts.path.rstrip('/')}", headers=headers)
