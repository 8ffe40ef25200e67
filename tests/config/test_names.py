"""
Runners and savers by name: three spellings, instances, and what is said of others.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from chariots_core.config import OpStoreConfig, PipelinesConfig
from chariots_core.errors import ConfigurationError
from chariots_core.op_store.savers import FileSaver, FsspecSaver
from chariots_core.pipelines import SequentialRunner


@pytest.mark.parametrize("name", ["sequential-runner", "sequential_runner", "SequentialRunner"])
def test_a_runner_has_three_spellings(name: str) -> None:
    """
    Hyphens, underscores and the name of the class mean the same runner.
    """
    assert SequentialRunner is type(PipelinesConfig(runner=name).get_runner())


@pytest.mark.parametrize("name", ["file-saver", "file_saver", "FileSaver"])
def test_a_saver_has_three_spellings(name: str, tmp_path: Path) -> None:
    """
    Hyphens, underscores and the name of the class mean the same saver.
    """
    saver = OpStoreConfig(saver_type=name, saver_kwargs={"root_path": str(tmp_path)}).get_saver()

    assert isinstance(saver, FileSaver)
    assert tmp_path == saver.root_path


def test_a_saver_gets_all_its_arguments() -> None:
    """
    A saver that passes options on takes any.
    """
    saver = OpStoreConfig(
        saver_type="fsspec-saver", saver_kwargs={"url": "memory://ops", "auto_mkdir": True}
    ).get_saver()

    assert isinstance(saver, FsspecSaver)
    assert ("memory://ops", {"auto_mkdir": True}) == (saver.url, saver._storage_options)


def test_an_instance_is_taken_as_it_is() -> None:
    """
    In code a runner and a saver may be given ready made.
    """
    runner, saver = SequentialRunner(), FileSaver("ops")

    assert runner is PipelinesConfig(runner=runner).get_runner()
    assert saver is OpStoreConfig(saver_type=saver).get_saver()


def test_arguments_beside_an_instance_are_refused(tmp_path: Path) -> None:
    """
    Nothing that is written is silently left aside.
    """
    with pytest.raises(ValueError, match=r"op_store\.saver_kwargs are for a saver that is named"):
        OpStoreConfig(saver_type=FileSaver(tmp_path), saver_kwargs={"root_path": "x"})


@pytest.mark.parametrize("name", ["parallel-runner", "Sequential-Runner", "", "x" * 200])
def test_an_unknown_runner_lists_the_known_ones(name: str) -> None:
    """
    A name of no runner is a ValueError of our own tree, with the names there are.
    """
    with pytest.raises(ValueError, match=r"known are sequential-runner$") as caught:
        PipelinesConfig(runner=name)

    assert isinstance(caught.value, ConfigurationError)
    assert len(str(caught.value)) < 250


def test_an_unknown_saver_lists_the_known_ones() -> None:
    """
    A saver that is not there is not promised.
    """
    with pytest.raises(
        ValueError, match="'google-storage-saver': known are file-saver, fsspec-saver"
    ):
        OpStoreConfig(saver_type="google-storage-saver")


def test_a_misspelt_name_gets_its_neighbour() -> None:
    """
    A name near a known one is answered with that.
    """
    with pytest.raises(ValueError, match="did you mean 'file-saver'"):
        OpStoreConfig(saver_type="FileSavr")
