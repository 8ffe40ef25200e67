"""
The fixtures of the kit: what a subclass gives, and what its tests get.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, ClassVar, NoReturn

import pytest

from chariots_core.testing.conformance.bounds import Bounds
from chariots_core.testing.conformance.harness import Deployment
from chariots_core.testing.conformance.launch import MODULE
from chariots_core.testing.conformance.plugin import REPORTER
from chariots_core.testing.conformance.processes import Workers
from chariots_core.testing.conformance.report import NOT_DECLARED


class KitFixtures:
    """
    Fixtures. A subclass must give `settings`, and may override the others above the line.

    All of them have the scope of the class: tests are kept apart by the names of
    their apps, not by their stores.
    """

    #: by which the kit's plugin of pytest knows its tests
    is_conformance_suite: ClassVar[bool] = True

    @pytest.fixture(scope="class")
    @classmethod
    def settings(cls) -> Mapping[str, Any]:
        """
        What ``worker_pool=`` gets: ``{"backend": name, **options}``.
        """
        raise AssertionError(f"{cls.__name__} needs a fixture `settings`: name and options")

    @pytest.fixture(scope="class")
    @classmethod
    def time_scale(cls) -> float:
        """
        What all bounds are multiplied by, for a backend that is slow by nature.
        """
        return 1.0

    @pytest.fixture(scope="class")
    @classmethod
    def broker(cls) -> Any:
        """
        The queue's own server: an object with those methods of
        `chariots_core.testing.conformance.broker.BrokerServer` that the backend's
        queue allows; ``None``: with none of them.
        """
        return None

    @pytest.fixture(scope="class")
    @classmethod
    def store_server(cls) -> Any:
        """
        The job store's own server, with ``stop()`` and ``start()``; ``None``:
        it has none that a test may stop.
        """
        return None

    @pytest.fixture(scope="class")
    @classmethod
    def deployment_type(cls) -> type[Deployment]:
        """
        How workers and servers are started.
        """
        return Deployment

    @pytest.fixture(scope="class")
    @classmethod
    def kit_module(cls) -> str:
        """
        The module with the kit's ``app`` and ``server``, as command lines name it.
        """
        return MODULE

    # ---------------------------------------------------------------------

    @pytest.fixture(scope="class", autouse=True)
    @classmethod
    def _described(cls, request: pytest.FixtureRequest, settings: Mapping[str, Any]) -> None:
        reporter = request.config.pluginmanager.get_plugin(REPORTER)
        if reporter is not None:
            reporter.describe(request.node.nodeid, settings)

    @pytest.fixture(scope="class")
    @classmethod
    def bounds(cls, time_scale: float) -> Bounds:
        """
        How long things may take.
        """
        return Bounds(time_scale)

    @pytest.fixture(scope="class")
    @classmethod
    def deploy(
        cls,
        settings: Mapping[str, Any],
        bounds: Bounds,
        deployment_type: type[Deployment],
        kit_module: str,
        tmp_path_factory: pytest.TempPathFactory,
    ) -> Callable[[], Deployment]:
        """
        Makes a deployment of an app that nobody else knows; the caller closes it.
        """
        return lambda: deployment_type(
            worker_pool=settings,
            folder=tmp_path_factory.mktemp("kit"),
            bounds=bounds,
            module=kit_module,
        )

    @pytest.fixture
    def deployment(self, deploy: Callable[[], Deployment]) -> Iterator[Deployment]:
        """
        A deployment of the test's own, without a process yet.
        """
        deployment = deploy()
        try:
            yield deployment
        finally:
            tell(deployment)
            deployment.close()

    @pytest.fixture
    def worker(self, deployment: Deployment) -> Callable[..., Workers]:
        """
        Starts workers: ``worker(n, **options)`` gives a handle on them.
        """
        return deployment.worker

    @pytest.fixture(scope="class")
    @classmethod
    def _shared(cls, deploy: Callable[[], Deployment]) -> Iterator[Deployment]:
        deployment = deploy()
        try:
            deployment.worker(2).wait_ready()
            yield deployment
        finally:
            deployment.close()

    @pytest.fixture
    def serving(self, _shared: Deployment) -> Iterator[Deployment]:
        """
        A deployment with two workers, shared by the tests that do not hurt them.
        """
        yield _shared
        tell(_shared)


def needs(deployment: Deployment, capability: str) -> None:
    """
    Skip the test, by name, if the backend does not declare *capability*.
    """
    if not getattr(deployment.pool.capabilities, capability):
        not_declared(capability)


def not_declared(what: str) -> NoReturn:
    """
    End the test as not declared: a report repeats *what* the backend, or its author, lacks.
    """
    pytest.skip(f"{NOT_DECLARED}{what}")


def tell(deployment: Deployment) -> None:
    """
    Print what happened to a deployment's jobs.
    """
    # pytest shows what a teardown prints where the test has failed, and only there.
    print(deployment.story())  # noqa: T201
