"""
Reading a backend's options.
"""

from __future__ import annotations

import traceback

import attrs
import pytest

from chariots_core.errors import BackendMisconfigured
from chariots_core.local.plugin import chariots_create_worker_pool
from chariots_core.local.pool import LocalWorkerPool
from chariots_core.workers import read_options
from chariots_core.workers.options import read_setting


@attrs.frozen(kw_only=True)
class Options:
    """
    Options of all kinds.
    """

    host: str = attrs.field(
        validator=attrs.validators.instance_of(str), metadata={"expects": "a host's name"}
    )
    port: int = attrs.field(default=1, converter=int, metadata={"expects": "a port number"})
    plain: object = None


def test_good_options() -> None:
    """
    Converters and defaults apply.
    """
    assert Options(host="h", port=5) == read_options(
        Options, {"host": "h", "port": "5"}, backend="demo"
    )


@pytest.mark.parametrize(
    "url",
    [
        "mysql://u:hunter2@h/db",
        "redis://:hunter2@h:6379/0",
        "sqlite://",
        "sqlite:///:memory:",
        "sqlite:///jobs.db?busy_timeout=hunter2",
        "postgresql+asyncpg://u:hunter2@h/db",
        "hunter2",
        5,
    ],
)
def test_address_that_cannot_keep_the_jobs_of_local(url: object) -> None:
    """
    What is no SQLite file and no PostgreSQL database is refused when the pool is
    made, by the option's name and without its value.
    """
    with pytest.raises(BackendMisconfigured) as caught:
        chariots_create_worker_pool("local", {"url": url})

    assert (
        "option 'url' must be the address of a SQLite file or a PostgreSQL database",
    ) == caught.value.problems
    assert "hunter2" not in "".join(traceback.format_exception(caught.value))


@pytest.mark.parametrize(
    "url",
    ["sqlite:///jobs.db?synchronous=full", "postgres://u@h/db", "postgresql+psycopg://u:p@h/db"],
)
def test_address_that_can_keep_the_jobs_of_local(url: str) -> None:
    """
    A SQLite file and a PostgreSQL database are taken as they are.
    """
    assert url == LocalWorkerPool(url=url).store_url


def test_all_problems_at_once() -> None:
    """
    4: missing, wrong and unknown options are all named, with what is expected.
    """
    with pytest.raises(BackendMisconfigured) as caught:
        read_options(Options, {"port": "http", "hots": "h", "x": 1}, backend="demo")

    assert (
        "option 'host' is missing",
        "option 'port' must be a port number",
        "option 'hots' is unknown, did you mean 'host'?",
        "option 'x' is unknown, known are host, plain, port",
    ) == caught.value.problems
    assert "demo" == caught.value.backend


def test_no_value_is_shown() -> None:
    """
    4: a value that is refused may be a secret, and is in no part of the error.
    """
    with pytest.raises(BackendMisconfigured) as caught:
        read_options(Options, {"host": 5551, "port": "s3cret"}, backend="demo")

    error = caught.value
    assert "s3cret" not in f"{error!r}{error.problems}{error.__cause__}"
    assert "5551" not in f"{error!r}{error.problems}"


def test_setting_is_a_name_or_an_object() -> None:
    """
    The environment gives a name, or a JSON object with options.
    """
    assert "rq" == read_setting(" rq ")
    assert {"backend": "rq", "n": 1} == read_setting('{"backend": "rq", "n": 1}')


def test_setting_that_is_no_json() -> None:
    """
    A broken JSON object is refused without showing it, not even in the cause.
    """
    with pytest.raises(BackendMisconfigured, match="CHARIOTS_WORKER_POOL") as caught:
        read_setting('{"password": "s3cret"')

    assert "s3cret" not in str(caught.value)
    assert caught.value.__cause__ is None


@pytest.mark.parametrize(
    ("options", "key"),
    [
        ({"url": 5}, "url"),
        ({"url": "no address"}, "url"),
        ({"poll_interval": 0}, "poll_interval"),
        ({"poll_interval": "soon"}, "poll_interval"),
        ({"poll_interval": 3600}, "poll_interval"),
        ({"urls": "sqlite:///x"}, "urls"),
    ],
)
def test_bad_options_of_local(options: dict[str, object], key: str) -> None:
    """
    4: the backend `local` names each option that it cannot use.
    """
    with pytest.raises(BackendMisconfigured, match=f"option '{key}'"):
        chariots_create_worker_pool("local", options)


def test_options_of_local() -> None:
    """
    The backend `local` takes an address and an interval, and shows neither.
    """
    pool = chariots_create_worker_pool(
        "local", {"url": "postgresql+psycopg://u:s3cret@h/db", "poll_interval": 2}
    )

    assert isinstance(pool, LocalWorkerPool)
    assert 2.0 == pool.options.poll_interval
    assert "s3cret" not in f"{pool!r}{pool.options!r}"
