"""
An app that is made anew in its process replaces the one before it.

A notebook runs a cell again, or a session reloads a module: the classes are new, and
workers that were forked earlier still run the old ones. So the newest app of a name
and a job store runs the jobs. Workers of older ones finish the job at hand and stop.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Iterable
from typing import Final, Protocol, TypeVar
from weakref import WeakKeyDictionary

from chariots_core.app.naming import Creator
from chariots_core.workers.handle import started_workers
from chariots_core.workers.pool import BaseWorkerPool

_log = logging.getLogger(__name__)


class ReplaceableApp(Protocol):
    """
    An app, as far as it matters for its replacement.
    """

    @property
    def name(self) -> str:
        """
        The app's name.
        """

    @property
    def creator(self) -> Creator | None:
        """
        The code that created it.
        """

    @property
    def pool(self) -> BaseWorkerPool | None:
        """
        Its way to workers.
        """


class ReplacementWatcher(Protocol):
    """
    An object that starts workers of its own for an app.
    """

    def take_over(self, pool: BaseWorkerPool) -> None:
        """
        Start workers for the jobs of *pool*, if those of an older app were started here.
        """


A = TypeVar("A", bound=ReplaceableApp)

#: Each watcher, and the process that it belongs to.
_watchers: Final[WeakKeyDictionary[ReplacementWatcher, int]] = WeakKeyDictionary()


def find_replaced(new: ReplaceableApp, apps: Iterable[A]) -> list[A]:
    """
    Return those of *apps* whose jobs *new* takes over: they have its name, its
    backend and its job store.
    """
    pool = new.pool
    if pool is None:
        return []
    # The address of the jobs is looked up only where it is needed.
    return [
        app
        for app in apps
        if app.pool is not None
        and app.name == new.name
        and app.pool.name == pool.name
        and app.pool.jobs_key == pool.jobs_key
        and not _is_loaded_twice(app.creator, new.creator)
    ]


def hand_over(new: ReplaceableApp, replaced: Iterable[ReplaceableApp]) -> None:
    """
    Stop the workers that this process has started for older apps, and start others
    where a `ReplacementWatcher` keeps them.

    A job that an older worker claims from now on goes back to the queue.

    Args:
        new: the newest app.
        replaced: the older ones that are still in use.
    """
    pool = new.pool
    if pool is None:
        return
    workers = [
        worker
        for worker in started_workers()
        if worker.jobs_key == pool.jobs_key and not _is_loaded_twice(worker.creator, new.creator)
    ]
    for worker in workers:
        worker.term()
    creators: list[object] = [app.creator for app in replaced]
    if places := {_place(old) for old in (*creators, *(worker.creator for worker in workers))}:
        _log.log(
            logging.WARNING if workers else logging.INFO,
            "app %r made at %s replaces the one made at %s: jobs run with its code from now on, "
            "and %d older worker(s) stop after the job at hand; if both are meant to run, give "
            "one of them another name",
            *(new.name, _place(new.creator), ", ".join(sorted(places)), len(workers)),
            extra={"action": "app_replaced", "app": new.name},
        )
    for watcher, owner in list(_watchers.items()):
        if owner == os.getpid():
            watcher.take_over(pool)


def watch_replacements(watcher: ReplacementWatcher) -> None:
    """
    Call *watcher* when an app of this process replaces another, until
    `unwatch_replacements` or a fork.
    """
    _watchers[watcher] = os.getpid()


def unwatch_replacements(watcher: ReplacementWatcher) -> None:
    """
    Undo `watch_replacements`. An unknown watcher is not an error.
    """
    _watchers.pop(watcher, None)


def _is_loaded_twice(old: object, new: Creator | None) -> bool:
    """
    Whether one module has created both apps, once as the program and once as an
    import of it: then they run the same code, and both go on.
    """
    return (
        isinstance(old, Creator)
        and new is not None
        and old.imported == new.imported
        and old.module != new.module
    )


def _place(creator: object) -> str:
    return creator.place if isinstance(creator, Creator) else "an unknown place"
