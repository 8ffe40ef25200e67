"""
Keys of a configuration: all that is wrong at once, by path, and no secret told.
"""

from __future__ import annotations

import copy
import pickle
import traceback
from typing import Any

import attrs
import pytest

from chariots_core.config import ChariotsConfig, OpStoreConfig, PipelinesConfig, WorkersConfig
from chariots_core.config.keys import Section
from chariots_core.errors import ConfigInvalid
from tests.config.conftest import Write


def problems(cls: type[Section], **values: Any) -> tuple[str, ...]:
    """
    What a section says of its values.
    """
    with pytest.raises(ConfigInvalid) as caught:
        cls(**values)
    return caught.value.problems


@pytest.mark.parametrize("name", ["c.yaml", "c.toml"])
def test_every_problem_is_told_at_once(write: Write, name: str) -> None:
    """
    One error has a line for each bad key of each section, with the key's path.
    """
    yaml = """
        pipelines:
          server_port: "5000"
          server_hots: here
          runner: parallel-runner
        pipeline_workers:
          worker_type: rq
        pipelines_workers:
          use_for_all: maybe
          worker_pool_kwargs: {backend: rq, url: redis://hunter2@host}
        op_store:
          saver_kwargs: {root_pth: /hunter2}
          server_port: 70000
    """
    toml = """
        [pipelines]
        server_port = "5000"
        server_hots = "here"
        runner = "parallel-runner"
        [pipeline_workers]
        worker_type = "rq"
        [pipelines_workers]
        use_for_all = "maybe"
        worker_pool_kwargs = {backend = "rq", url = "redis://hunter2@host"}
        [op_store]
        saver_kwargs.root_pth = "/hunter2"
        server_port = 70000
    """

    with pytest.raises(ConfigInvalid) as caught:
        ChariotsConfig(write(name, yaml if name == "c.yaml" else toml))

    assert [
        "op_store.saver_kwargs.root_pth is unknown to file-saver, did you mean 'root_path'?",
        "op_store.server_port must be a whole number from 1 to 65535",
        "pipeline_workers is unknown, did you mean 'pipelines_workers'?",
        "pipelines.runner names no runner, 'parallel-runner': known are sequential-runner",
        "pipelines.server_hots is unknown, did you mean 'server_host'?",
        "pipelines.server_port must be a whole number from 1 to 65535, and is of type str",
        "pipelines_workers.use_for_all must be true or false, and is of type str",
        "pipelines_workers.worker_pool_kwargs are of no backend: name it in worker_type",
        "pipelines_workers.worker_pool_kwargs.backend is no option: name the backend in worker_type",
    ] == sorted(caught.value.problems)
    assert all(problem in str(caught.value) for problem in caught.value.problems)
    assert f"{name}' cannot be used" in str(caught.value)
    assert "hunter2" not in "".join(traceback.format_exception(caught.value))


@pytest.mark.parametrize(
    ("cls", "values", "said"),
    [
        (PipelinesConfig, {"server_port": True}, "of type bool"),
        (PipelinesConfig, {"server_port": 80.0}, "of type float"),
        (PipelinesConfig, {"server_port": None}, "is empty"),
        (PipelinesConfig, {"server_port": 0}, "from 1 to 65535"),
        (PipelinesConfig, {"server_host": "http://here"}, "without http://"),
        (PipelinesConfig, {"server_host": "here:5000"}, "without a port"),
        (PipelinesConfig, {"server_host": "me:hunter2@here"}, "name or IP address"),
        (PipelinesConfig, {"server_host": ""}, "name or IP address"),
        (PipelinesConfig, {"import_name": "my app"}, "is not a valid app name"),
        (PipelinesConfig, {"import_name": {"a": "hunter2"}}, "must be text, and is a table"),
        (PipelinesConfig, {"runner": 3}, "the name of a runner, and is of type int"),
        (WorkersConfig, {"use_for_all": 1}, "true or false"),
        (WorkersConfig, {"worker_type": ""}, "must not be blank"),
        (WorkersConfig, {"worker_pool_kwargs": ["url"]}, "of type list"),
        (WorkersConfig, {"worker_pool_kwargs": {1: 2}}, "has a key that is not text"),
        (OpStoreConfig, {"op_store_db_url": "hunter2"}, "the address of a SQLite file"),
        (OpStoreConfig, {"op_store_db_url": "sqlite:///:memory:"}, "that processes can share"),
        (OpStoreConfig, {"server_host": 7}, "of type int"),
        (OpStoreConfig, {"saver_kwargs": {"root_path": 7}}, "must be what file-saver takes"),
        (
            OpStoreConfig,
            {"saver_kwargs": {}, "saver_type": "fsspec-saver"},
            "saver_kwargs.url is missing: fsspec-saver needs it",
        ),
    ],
)
def test_a_value_that_cannot_work_is_refused_in_code_too(
    cls: type[Section], values: dict[str, Any], said: str
) -> None:
    """
    A part made in code is checked as a file is: the problem begins with the key's path.
    """
    (problem,) = problems(cls, **values)

    assert problem.startswith(f"{cls.section}.{next(iter(values))}")
    assert said in problem
    assert "hunter2" not in problem


def test_a_misspelt_key_is_told_once(write: Write) -> None:
    """
    What is only missing because another key is misspelt is no second problem.
    """
    path = write(
        "c.yaml", "pipelines_workers:\n  worker_typ: rq\n  worker_pool_kwargs: {url: redis://h}\n"
    )

    with pytest.raises(ConfigInvalid) as caught:
        ChariotsConfig(path)

    assert ("pipelines_workers.worker_typ is unknown, did you mean 'worker_type'?",) == (
        caught.value.problems
    )


def test_an_unknown_key_near_none_lists_the_known_ones(write: Write) -> None:
    """
    A key like no other gets the list of keys; one that is no text is named, too.
    """
    with pytest.raises(ConfigInvalid) as caught:
        ChariotsConfig(write("c.yaml", "pipelines: {5: a}\nzzz: 1\n"))

    known = "import_name, runner, server_host, server_port"
    assert (
        f"pipelines.5 is unknown, known are {known}",
        "zzz is unknown, known are op_store, pipelines, pipelines_workers",
    ) == caught.value.problems


def test_a_section_is_a_table(write: Write) -> None:
    """
    A section that is a single value is told with what it is, not with the value.
    """
    with pytest.raises(ConfigInvalid) as caught:
        ChariotsConfig(write("c.yaml", "op_store: hunter2\n"))

    assert ("op_store must be a table, and is of type str",) == caught.value.problems


def test_no_secret_is_in_a_repr() -> None:
    """
    Addresses of databases and arguments of backends and savers are left out.
    """
    config = ChariotsConfig(
        pipelines_workers=WorkersConfig(
            worker_type="rq", worker_pool_kwargs={"url": "redis://:hunter2@host"}
        ),
        op_store=OpStoreConfig(
            op_store_db_url="postgresql://me:hunter2@host/db",
            saver_type="fsspec-saver",
            saver_kwargs={"url": "s3://bucket", "secret": "hunter2"},
        ),
    )

    assert "hunter2" not in repr(config)
    assert "worker_type='rq'" in repr(config)


def test_parts_do_not_change() -> None:
    """
    A part keeps what it was given, whatever its maker does later; it can be copied.
    """
    kwargs = {"url": "redis://host"}
    part = WorkersConfig(worker_type="rq", worker_pool_kwargs=kwargs)
    kwargs["url"] = "redis://elsewhere"

    assert {"url": "redis://host"} == part.worker_pool_kwargs
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        part.worker_type = "local"  # type: ignore[misc]
    assert part == pickle.loads(pickle.dumps(part)) == copy.deepcopy(part)


def test_a_part_is_of_its_class() -> None:
    """
    A part in the place of another is refused where the configuration is made.
    """
    with pytest.raises(TypeError, match="op_store must be a OpStoreConfig, not a WorkersConfig"):
        ChariotsConfig(op_store=WorkersConfig())  # type: ignore[arg-type]
