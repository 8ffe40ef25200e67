"""
A handle on a Redis server: lazy, shared by threads, safe over forks.
"""

from __future__ import annotations

import hashlib
import importlib.resources
import os
import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final, Self, TypeVar

from redis import exceptions
from redis.backoff import NoBackoff
from redis.connection import Connection, ConnectionPool, parse_url
from redis.retry import Retry

from chariots_core.errors import ConfigurationError, StoreUnavailable
from chariots_core.jobs_redis.exchange import Along, exchange, is_stale
from chariots_core.jobs_redis.failures import is_outage, sentence

if TYPE_CHECKING:
    from collections.abc import Iterator

T = TypeVar("T")

#: Seconds to wait for an answer, and for a connection, unless the address says otherwise.
TIMEOUT: Final = 5.0

_FORMS: Final = "redis://host:port/db, rediss://host:port/db or unix:///path/to/socket"


class Unsent(StoreUnavailable):
    """
    The server cannot be used, and has certainly done nothing.
    """


class Script:
    """
    A script of a package, with constants filled in.

    Args:
        package: where its text is.
        file: the text's name.
        **constants: what stands for each name in the text.
    """

    def __init__(self, package: str, file: str, **constants: str) -> None:
        text = (importlib.resources.files(package) / file).read_text()
        for name, value in constants.items():
            text = text.replace(name, value)
        self.text: Final = text
        self.digest: Final = hashlib.sha1(text.encode(), usedforsecurity=False).hexdigest()


class RedisServer:
    """
    A Redis server, spoken to by one connection for each thread at work.

    Making it does no input or output. It connects at its first use, in each
    process anew. A command is sent once: whoever sent it knows what a second
    time would do, and this class does not.

    Args:
        options: those of a connection of the redis package; see `at`.
    """

    def __init__(self, options: Mapping[str, Any]) -> None:
        self._options = _connection_options(options)
        self._class: Any = self._options.pop("connection_class", Connection)
        try:
            # It is never connected.
            self._packer = self._class(**self._options)
        except (TypeError, ValueError) as error:
            raise ConfigurationError(
                f"Redis cannot be connected to with these options ({type(error).__name__}): use "
                "those of the connections of the redis package"
            ) from None
        self._pid = os.getpid()
        self._idle: list[Any] = []
        self._along: Along | None = None

    @classmethod
    def at(cls, url: str, **options: Any) -> Self:
        """
        The server at an address.

        Args:
            url: ``redis://[user:password@]host[:port][/db]``, ``rediss://…`` or
                ``unix://…``, with options of the redis package as a query.
            **options: more of these options.

        Raises:
            ConfigurationError: the address cannot work.
        """
        parse: Any = parse_url
        try:
            return cls({**parse(url), **options})
        except (ValueError, TypeError, AttributeError):
            # What the parser says would show the address, and its password.
            raise ConfigurationError(
                f"the address of Redis cannot be understood: write {_FORMS}"
            ) from None

    @classmethod
    def of_pool(cls, pool: ConnectionPool) -> Self:
        """
        The server that the connections of *pool* go to, by connections of its own.
        """
        return cls({**pool.connection_kwargs, "connection_class": pool.connection_class})

    @property
    def name(self) -> str:
        """
        The address, without its password.
        """
        return shown_address(self._options)

    def __repr__(self) -> str:
        return f"RedisServer({self.name!r})"

    def run(self, script: Script, keys: Sequence[str], *arguments: Any) -> Any:
        """
        Run *script* on *keys*.

        Raises:
            StoreUnavailable: the server does not answer, or cannot work.
        """
        with self.failing():
            try:
                return self._send("EVALSHA", script.digest, len(keys), *keys, *arguments)
            except exceptions.NoScriptError:
                # It was started anew, or its scripts were flushed. Nothing has run.
                return self._send("EVAL", script.text, len(keys), *keys, *arguments)

    def command(self, *arguments: Any) -> Any:
        """
        Send one command.

        Raises:
            StoreUnavailable: the server does not answer, or cannot work.
        """
        with self.failing():
            return self._send(*arguments)

    def pack(self, *arguments: Any) -> bytes:
        """
        A command as it is sent.
        """
        return b"".join(self._packer.pack_command(*arguments))

    def send_along(self, packed: bytes) -> Along:
        """
        Send a command right behind the next one of this thread, in one go: both
        are answered in the time of one.

        Args:
            packed: what `pack` made of it.
        """
        self._along = along = Along(packed)
        return along

    def answer_to(self, along: Along) -> Any:
        """
        What came back to *along*, an error as the exception; ``None`` where it has
        not been sent, and it is not any more.

        Raises:
            StoreUnavailable: it may have been sent, and nothing came back.
        """
        if self._along is along:
            self._along = None
        if along.is_sent and not along.is_answered:
            raise StoreUnavailable(f"Redis at {self.name!r} has not answered")
        return along.answer

    def ping(self) -> None:
        """
        Return if the server answers.

        Raises:
            StoreUnavailable: it does not.
        """
        self.command("PING")

    def risks(self) -> list[str]:
        """
        What in the server's settings could lose what it holds, with the remedies.

        Raises:
            StoreUnavailable: the server does not answer, or cannot work.
        """
        facts = _facts(self.command("INFO", "persistence")) | _facts(self.command("INFO", "memory"))
        found = []
        if facts.get("aof_enabled") == "0":
            found.append(
                f"Redis at {self.name!r} keeps no log of its changes, so that its end is the end of "
                "the jobs since its last snapshot: set 'appendonly yes'"
            )
        policy = facts.get("maxmemory_policy", "noeviction")
        if policy != "noeviction":
            found.append(
                f"Redis at {self.name!r} has the maxmemory-policy {policy!r}, so that it may "
                "drop jobs when it is full: set 'maxmemory-policy noeviction'"
            )
        return found

    def after_fork_in_child(self) -> None:
        """
        Close this process's copies of what its parent has open, without a word
        to the server.
        """
        for connection in self._idle:
            connection.disconnect()
        self._idle = []
        self._along = None

    def close(self) -> None:
        """
        Give back every connection. Idempotent; a later use connects anew.
        """
        idle, self._idle = self._own_idle(), []
        for connection in idle:
            connection.disconnect()

    @contextmanager
    def failing(self) -> Iterator[None]:
        """
        A block in which an outage of the server is a `StoreUnavailable`.
        """
        try:
            yield
        except (exceptions.RedisError, OSError) as error:
            if not is_outage(error):
                raise
            kind = Unsent if isinstance(error, exceptions.ResponseError) else StoreUnavailable
            raise kind(self._sentence(error)) from error

    def _sentence(self, error: BaseException) -> str:
        return f"Redis at {self.name!r} cannot be used: {sentence(error)}"

    def _send(self, *arguments: Any) -> Any:
        along = self._along
        if along is not None and along.thread == threading.get_ident():
            self._along = None
        else:
            along = None
        return self.with_connection(lambda connection: exchange(connection, arguments, along))

    def with_connection(self, use: Callable[[Any], T]) -> T:
        """
        What *use* returns, given a connection that nobody else has meanwhile.
        """
        connection = self._take()
        try:
            answer = use(connection)
        except exceptions.ResponseError:
            self._own_idle().append(connection)
            raise
        except BaseException:
            # An answer may be on its way, and it is nobody else's.
            connection.disconnect()
            raise
        self._own_idle().append(connection)
        return answer

    def connect(self) -> Any:
        """
        A new connection, which is the caller's alone.

        Raises:
            Unsent: the server cannot be reached.
        """
        return self._connected(self._class(**self._options))

    def _take(self) -> Any:
        try:
            connection = self._own_idle().pop()
        except IndexError:
            return self.connect()
        if not is_stale(connection):
            return connection
        connection.disconnect()
        return self._connected(connection)

    def _connected(self, connection: Any) -> Any:
        try:
            connection.connect()
        except (exceptions.RedisError, OSError) as error:
            raise Unsent(self._sentence(error)) from error
        return connection

    def _own_idle(self) -> list[Any]:
        # No lock: a fork could copy one that is held. What the parent had open
        # stays the parent's, and is closed here without a word to the server.
        if self._pid != os.getpid():
            self._pid, self._idle = os.getpid(), []
        return self._idle


def _connection_options(given: Mapping[str, Any]) -> dict[str, Any]:
    options = {"socket_timeout": TIMEOUT, "socket_connect_timeout": TIMEOUT, **given}
    if options["socket_timeout"] is None:
        options["socket_timeout"] = TIMEOUT
    fixed = {
        "decode_responses": False,
        "protocol": 2,
        # A claim that was sent twice would find itself claimed.
        "retry": Retry(NoBackoff(), 0),
        "retry_on_timeout": False,
        "retry_on_error": [],
    }
    dropped = {"maint_notifications_config", "maint_notifications_pool_handler"}
    kept = {name: value for name, value in options.items() if name not in dropped}
    return {**kept, **fixed}


def _facts(info: bytes) -> dict[str, str]:
    lines = info.decode(errors="replace").splitlines()
    return dict(line.partition(":")[::2] for line in lines if ":" in line)


def shown_address(options: Mapping[str, Any]) -> str:
    """
    The address in the options of a connection, without its password.
    """
    if path := options.get("path"):
        return f"unix://{path}?db={options.get('db', 0)}"
    user = f"{options['username']}@" if options.get("username") else ""
    host, port = options.get("host", "localhost"), options.get("port", 6379)
    return f"redis://{user}{host}:{port}/{options.get('db', 0)}"
