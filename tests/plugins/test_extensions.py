"""
Plugins that are no backends: loaded where installed, disabled by name, harmless when broken.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.plugins.distributions import install, plugin, run_python
from tests.support import ROOT

OBSERVER = """
    from chariots_core.workers import hookimpl

    seen = []


    @hookimpl
    def chariots_job_event(app, event_name, record):
        seen.append([app, event_name, record.pipeline])
"""

LEAVES = """
    from chariots_core.workers import hookimpl


    @hookimpl
    def chariots_job_event():
        raise SystemExit(5)
"""

WRAPPER = """
    from chariots_core.workers import hookimpl

    seen = []


    @hookimpl(wrapper=True)
    def chariots_execute_pipeline(pool, request):
        seen.append(["before", pool.name, request.queue])
        result = yield
        seen.append(["after", pool.name, request.queue])
        return result


    @hookimpl(wrapper=True)
    def chariots_lookup_job(job_id):
        record = yield
        seen.append(["looked up", record.pipeline])
        return record
"""

ADDS = """
    import click
    import flask
    from chariots_core.workers import hookimpl


    @hookimpl
    def chariots_blueprint(server):
        pages = flask.Blueprint("pages", __name__, url_prefix="/pages")
        pages.get("/")(lambda: f"pages of {server.chariots.name}")
        return pages


    @hookimpl
    def chariots_command():
        return click.Command("greet", callback=lambda: print("hello"), help="Say hello.")
"""

ADDS_BADLY = """
    from chariots_core.workers import hookimpl


    @hookimpl
    def chariots_blueprint(server):
        return "no blueprint"


    @hookimpl
    def chariots_command():
        raise RuntimeError("no command today")
"""

SERVE = f"""
    import json, sys
    sys.path.insert(0, {str(ROOT)!r})
    from chariots_core.server import PipelinesServer

    server = PipelinesServer([], import_name="paged")
    with server.test_client() as client:
        said = [client.get(path).get_data(as_text=True) for path in ("/pages/", "/livez")]
    server.close()
    print(json.dumps({{"said": said}}))
"""

SUBMIT = f"""
    import json, sys
    sys.path.insert(0, {str(ROOT)!r})
    from pathlib import Path
    from tests.local.app import local_app

    app = local_app(Path.cwd())
    app.pool.fetch_job(app.pool.execute_pipeline_async("echo", "1"))
    seen = {{name: getattr(sys.modules.get(name), "seen", None) for name in ("ext_sees", "ext_wraps")}}
    print(json.dumps({{"seen": seen, "problems": dict(app.plugins.problems)}}))
"""


@pytest.fixture(name="extended", scope="session")
def _extended(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """
    A folder with an observer, a wrapper, one that wants to leave, and two broken plugins.
    """
    plugins = [
        plugin("leaves", "ext_leaves", LEAVES),
        plugin("sees", "ext_sees", OBSERVER),
        plugin("wraps", "ext_wraps", WRAPPER),
        plugin("unimportable", "ext_unimportable", "import a_library_that_is_not_there"),
        plugin("misspelt", "ext_misspelt", OBSERVER.replace("job_event", "jobs_event")),
    ]
    work = tmp_path_factory.mktemp("wheels")
    return install(plugins, tmp_path_factory.mktemp("extended") / "site", work)


def submit(extended: Path, cwd: Path, **env: str) -> dict[str, Any]:
    """
    What the plugins see of one job that is submitted and looked up.
    """
    return run_python(SUBMIT, site=extended, cwd=cwd, env=env)


def test_observer_and_wrapper_are_used(extended: Path, tmp_path: Path) -> None:
    """
    Installed observers and wrappers work without being named, around hand-over and look-up.
    """
    seen = submit(extended, tmp_path)["seen"]

    assert [["plain", "queued", "echo"]] == seen["ext_sees"]
    assert [
        ["before", "local", "default"],
        ["after", "local", "default"],
        ["looked up", "echo"],
    ] == seen["ext_wraps"]


def test_observer_that_exits_is_logged(extended: Path, tmp_path: Path) -> None:
    """
    An observer that leaves the process does not: it is logged, and the submitter gets the job.
    """
    found = submit(extended, tmp_path)

    assert [["plain", "queued", "echo"]] == found["seen"]["ext_sees"]
    assert "plugin 'leaves' failed to observe event 'queued'" in found["stderr"]


def test_broken_plugins_are_left_out(extended: Path, tmp_path: Path) -> None:
    """
    Broken plugins are left out, each with one warning that names it and its fault.
    """
    found = submit(extended, tmp_path)

    assert 2 == len(found["problems"])
    for words in (
        ["'unimportable'", "ext-unimportable", "a_library_that_is_not_there"],
        ["'misspelt'", "ext-misspelt", "did you mean 'chariots_job_event'?"],
    ):
        told = [text for text in found["problems"].values() if all(w in text for w in words)]
        assert 1 == len(told)
        assert 1 == sum(
            all(word in line for word in words) for line in found["stderr"].splitlines()
        )


def test_disabled_plugins_are_not_imported(extended: Path, tmp_path: Path) -> None:
    """
    Plugins that CHARIOTS_DISABLE_PLUGINS names are not imported; the others are used.
    """
    found = submit(
        extended, tmp_path, CHARIOTS_DISABLE_PLUGINS="wraps, misspelt,unimportable,leaves"
    )

    assert ({}, "") == (found["problems"], found["stderr"])
    assert found["seen"]["ext_wraps"] is None
    assert [["plain", "queued", "echo"]] == found["seen"]["ext_sees"]


def test_all_plugins_can_be_disabled(extended: Path, tmp_path: Path) -> None:
    """
    A star disables every plugin, and jobs go their way.
    """
    found = submit(extended, tmp_path, CHARIOTS_DISABLE_PLUGINS="*")

    assert {"ext_sees": None, "ext_wraps": None} == found["seen"]


def test_strict_makes_a_broken_plugin_an_error(extended: Path, tmp_path: Path) -> None:
    """
    Where CHARIOTS_STRICT_PLUGINS is set, a broken plugin is a configuration error at start.
    """
    program = """
        import json
        from chariots_core.errors import ConfigurationError
        from chariots_core.workers.plugins import PluginManager

        try:
            PluginManager()
        except ConfigurationError as error:
            print(json.dumps({"message": str(error)}))
    """

    found = run_python(program, site=extended, cwd=tmp_path, env={"CHARIOTS_STRICT_PLUGINS": "1"})

    assert "'misspelt'" in found["message"]


@pytest.fixture(name="twins", scope="session")
def _twins(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """
    A folder with two plugins of one name, and one of a name of its own.
    """
    plugins = [
        plugin("twin", "ext_twin_1", OBSERVER),
        plugin("twin", "ext_twin_2", OBSERVER),
        plugin("sees", "ext_sees", OBSERVER),
    ]
    work = tmp_path_factory.mktemp("wheels")
    return install(plugins, tmp_path_factory.mktemp("twins") / "site", work)


def test_plugins_of_one_name_are_left_out(twins: Path, tmp_path: Path) -> None:
    """
    Of plugins that share a name none is used; both distributions and the way out are named.
    """
    found = submit(twins, tmp_path)

    told = "'twin': 'ext-twin-1' 1.0 and 'ext-twin-2' 1.0; uninstall all but one of them"
    assert [["plain", "queued", "echo"]] == found["seen"]["ext_sees"]
    assert 2 == len(found["problems"])
    assert [] == [text for text in found["problems"].values() if told not in text]
    assert {} == submit(twins, tmp_path, CHARIOTS_DISABLE_PLUGINS="twin")["problems"]


def test_plugins_of_one_name_are_listed_as_broken(twins: Path, tmp_path: Path) -> None:
    """
    `chariots backends` shows that they cannot be used, and why.
    """
    program = """
        import json
        from chariots_core.workers.survey import survey

        print(json.dumps({"errors": [[r.distribution, r.error] for r in survey() if r.kind == "plugin"]}))
    """

    errors = dict(run_python(program, site=twins, cwd=tmp_path)["errors"])

    assert errors["ext-sees"] is None
    assert "uninstall all but one" in errors["ext-twin-1"]
    assert errors["ext-twin-1"] == errors["ext-twin-2"]


@pytest.fixture(name="paged", scope="session")
def _paged(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """
    A folder with a plugin that adds a page and a command, and one that fails to.
    """
    plugins = [plugin("adds", "ext_adds", ADDS), plugin("badly", "ext_badly", ADDS_BADLY)]
    work = tmp_path_factory.mktemp("wheels")
    return install(plugins, tmp_path_factory.mktemp("paged") / "site", work)


def test_plugin_adds_routes(paged: Path, tmp_path: Path) -> None:
    """
    A plugin's blueprint is served beside the server's own routes; one that is
    none is logged and left out.
    """
    found = run_python(SERVE, site=paged, cwd=tmp_path)

    assert ["pages of paged", '{"status":"ok"}'] == found["said"]
    assert "'no blueprint' of a plugin cannot be used" in found["stderr"]


def test_plugin_adds_commands(paged: Path, tmp_path: Path) -> None:
    """
    A plugin's command stands beside core's, and is imported only when it is asked
    for; one that fails is logged and left out.
    """
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(paged), str(ROOT)])}

    def chariots(*arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "chariots_core.cli", *arguments],
            cwd=tmp_path,
            env=environment,
            capture_output=True,
            text=True,
            timeout=30,
            check=False,
        )

    help_text, greeting, unknown, own = (
        chariots(*arguments) for arguments in (["--help"], ["greet"], ["nope"], ["backends"])
    )

    assert "greet" in help_text.stdout
    assert "Say hello." in help_text.stdout
    assert "hello\n" == greeting.stdout
    assert (2, True) == (unknown.returncode, "No such command 'nope'" in unknown.stderr)
    assert "plugin 'badly' failed to give its command" in greeting.stderr
    assert "badly" not in own.stderr
