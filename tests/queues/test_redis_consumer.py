"""
Taking messages: at once, in the order of queues, and none is lost by stopping.
"""

from __future__ import annotations

import os
import socket
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest
from redis import Redis

from chariots_core.jobs_redis.server import RedisServer
from chariots_core.queues import Message
from chariots_core.queues.redis_consumer import RedisConsumer
from tests.redis_servers import RedisProcess
from tests.support import wait_until


class Waiting:
    """
    As much of a session as a consumer needs: it waits, and can be stopped.
    """

    def __init__(self) -> None:
        self._ends = os.pipe()

    def wait(self, seconds: float, *fds: int) -> list[int]:
        """
        Wait as a session does.
        """
        import select

        ready, _, _ = select.select([*fds, self._ends[0]], [], [], seconds)
        return [] if self._ends[0] in ready else ready

    def stop(self) -> None:
        """
        Ask it to stop.
        """
        os.write(self._ends[1], b"x")

    def close(self) -> None:
        """
        Close its pipe.
        """
        for end in self._ends:
            os.close(end)


#: What a made-up engine does to forget a message.
FORGET = ("DEL", "made-up:")


@pytest.fixture(name="session")
def _session() -> Iterator[Any]:
    session = Waiting()
    yield session
    session.close()


@pytest.fixture(name="client")
def _client(redis_server: RedisProcess) -> Iterator[Redis]:
    with redis_server.client() as client:
        yield client
        client.delete("first", "second")


@pytest.fixture(name="server")
def _server(redis_server: RedisProcess) -> Iterator[RedisServer]:
    server = RedisServer.at(redis_server.url)
    yield server
    server.close()


def blocked(client: Redis) -> int:
    """
    How many clients wait for a message.
    """
    return int(client.info("clients")["blocked_clients"])


def test_first_queue_first(server: RedisServer, client: Redis, session: Any) -> None:
    """
    Messages come in the order of the queues, and within one in its own.
    """
    client.rpush("second", "c")
    client.rpush("first", "a", "b")
    with RedisConsumer(server, {"first": FORGET, "second": FORGET}) as consumer:
        taken = [consumer.take(session) for _ in range(3)]

    assert [Message("a", "first"), Message("b", "first"), Message("c", "second")] == taken


def test_message_is_taken_as_it_comes(server: RedisServer, client: Redis, session: Any) -> None:
    """
    A consumer that waits gets a message when it is sent, and asks nobody meanwhile.
    """
    with RedisConsumer(server, {"first": FORGET}) as consumer:
        assert consumer.take(session, 0.01) is None
        before = client.info("stats")["total_commands_processed"]
        assert [None] * 5 == [consumer.take(session, 0.01) for _ in range(5)]
        # What was counted is this test's own question.
        assert 1 == client.info("stats")["total_commands_processed"] - before
        sender = threading.Timer(0.1, client.rpush, ("first", "a"))
        sender.start()
        began = time.monotonic()
        message = consumer.take(session, 20.0)
        took = time.monotonic() - began
        sender.join()

    assert Message("a", "first") == message
    assert took < 10.0


def test_stop_ends_the_waiting(server: RedisServer, client: Redis, session: Any) -> None:
    """
    (46) A consumer that is to stop does so at once, and nobody waits for messages then.
    """
    with RedisConsumer(server, {"first": FORGET}) as consumer:
        session.stop()
        assert consumer.take(session, 30.0) is None
        wait_until(lambda: blocked(client) == 1)

    wait_until(lambda: blocked(client) == 0)
    client.rpush("first", "a")
    assert [b"a"] == client.lrange("first", 0, -1)


def test_message_that_comes_too_late_goes_back(
    server: RedisServer, client: Redis, session: Any
) -> None:
    """
    (47, 49) A message that was sent to a consumer as it stopped is the next one's, in its place.
    """
    with RedisConsumer(server, {"first": FORGET}) as consumer:
        session.stop()
        assert consumer.take(session, 30.0) is None
        wait_until(lambda: blocked(client) == 1)
        client.rpush("first", "a")
        client.rpush("first", "b")

    assert [b"a", b"b"] == client.lrange("first", 0, -1)


def test_child_closes_its_copy(server: RedisServer, client: Redis, session: Any) -> None:
    """
    A child that was forked while its parent waits closes what it inherited, and
    the parent hears of the next message all the same.
    """
    with RedisConsumer(server, {"first": FORGET}) as consumer:
        assert consumer.take(session, 0.01) is None
        pid = os.fork()
        if pid == 0:
            consumer.after_fork_in_child()
            os._exit(0)
        os.waitpid(pid, 0)
        client.rpush("first", "a")

        assert Message("a", "first") == consumer.take(session, 10.0)


@pytest.mark.parametrize("handed_back", [True, False])
def test_what_becomes_of_a_message(
    server: RedisServer, client: Redis, session: Any, handed_back: bool
) -> None:
    """
    A message that is handed back is the next one again; one that is done with is
    gone, with what the engine keeps of it.
    """
    client.rpush("first", "a-1", "b-1")
    client.hset("made-up:a-1", "status", "queued")
    with RedisConsumer(server, {"first": FORGET}) as consumer:
        message = consumer.take(session)
        assert message is not None
        if handed_back:
            consumer.put_back(message)
        else:
            consumer.drop(message)

    waiting = [b"a-1", b"b-1"] if handed_back else [b"b-1"]
    assert (waiting, int(handed_back)) == (
        client.lrange("first", 0, -1),
        client.exists("made-up:a-1"),
    )
    client.delete("made-up:a-1")


def test_what_is_done_with_is_forgotten_over_a_lost_connection(
    server: RedisServer, client: Redis, session: Any
) -> None:
    """
    A message is forgotten as the next one is asked for, and not remembered
    because the connection broke in between.
    """
    client.rpush("first", "a", "b")
    client.set("made-up:a", "kept")
    with RedisConsumer(server, {"first": FORGET}) as consumer:
        message = consumer.take(session, 10.0)
        assert message is not None
        consumer.drop(message)
        kept = client.exists("made-up:a")
        consumer._connection._sock.shutdown(socket.SHUT_RDWR)
        taken = wait_until(lambda: consumer.take(session, 0.1), 10.0)
        forgotten = not client.exists("made-up:a")

    assert (1, True) == (kept, forgotten)
    assert Message("b", "first") == taken
