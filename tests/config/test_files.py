"""
Reading configuration files: the same values from YAML and TOML, and clear refusals.
"""

from __future__ import annotations

import subprocess
import sys
import traceback
from pathlib import Path

import pytest

from chariots_core.config import ChariotsConfig, OpStoreConfig, PipelinesConfig, WorkersConfig
from chariots_core.errors import ConfigInvalid, ConfigurationError
from tests.config.conftest import Write

YAML = """
    pipelines:
      runner: SequentialRunner
      server_host: models.example.org
      server_port: 8080
      import_name: my_app
    pipelines_workers:
      use_for_all: true
      worker_type: local
      worker_pool_kwargs:
        poll_interval: 1.5
    op_store:
      op_store_db_url: sqlite:///ops.db
      saver_type: file-saver
      saver_kwargs:
        root_path: ops
      server_host: ops.example.org
      server_port: 8081
"""
TOML = """
    [pipelines]
    runner = "SequentialRunner"
    server_host = "models.example.org"
    server_port = 8080
    import_name = "my_app"

    [pipelines_workers]
    use_for_all = true
    worker_type = "local"
    worker_pool_kwargs.poll_interval = 1.5

    [op_store]
    op_store_db_url = "sqlite:///ops.db"
    saver_type = "file-saver"
    saver_kwargs = {root_path = "ops"}
    server_host = "ops.example.org"
    server_port = 8081
"""


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("c.yaml", YAML),
        ("c.yml", YAML),
        ("C.YAML", YAML),
        ("c.toml", TOML),
        ("c.toml", f"\ufeff{TOML}"),
    ],
)
def test_a_file_says_what_its_parts_say(write: Write, name: str, text: str) -> None:
    """
    YAML and TOML with all keys are the same configuration as one made of parts.
    """
    parts = ChariotsConfig(
        pipelines=PipelinesConfig(
            runner="SequentialRunner",
            server_host="models.example.org",
            server_port=8080,
            import_name="my_app",
        ),
        pipelines_workers=WorkersConfig(
            use_for_all=True, worker_type="local", worker_pool_kwargs={"poll_interval": 1.5}
        ),
        op_store=OpStoreConfig(
            op_store_db_url="sqlite:///ops.db",
            saver_type="file-saver",
            saver_kwargs={"root_path": "ops"},
            server_host="ops.example.org",
            server_port=8081,
        ),
    )

    assert parts == ChariotsConfig(write(name, text))


def test_a_path_may_be_text(write: Write) -> None:
    """
    A file is named by text as by a path; the text is meant from where the process stands.
    """
    write("config.toml", TOML)

    assert "my_app" == ChariotsConfig("config.toml").pipelines.import_name


def test_what_a_file_leaves_out_has_its_default(write: Write) -> None:
    """
    A section that is empty or left out is as its defaults say, and so is a table of options.
    """
    path = write("c.yaml", "pipelines:\npipelines_workers:\n  worker_pool_kwargs:\n")

    assert ChariotsConfig() == ChariotsConfig(path)


def test_a_part_is_in_place_of_the_files_section(write: Write) -> None:
    """
    Code wins over the file, section by section.
    """
    config = ChariotsConfig(write("c.toml", TOML), pipelines=PipelinesConfig(import_name="other"))

    assert ("other", 5000) == (config.pipelines.import_name, config.pipelines.server_port)
    assert "local" == config.pipelines_workers.worker_type


def test_a_missing_file_is_named() -> None:
    """
    Where there is no file, the error says where it was looked for.
    """
    with pytest.raises(ConfigInvalid, match="there is no configuration file") as caught:
        ChariotsConfig("nowhere.yaml")

    assert str(Path("nowhere.yaml").absolute()) in str(caught.value)
    assert isinstance(caught.value, ConfigurationError)
    assert isinstance(caught.value, ValueError)


def test_a_folder_is_no_file(tmp_path: Path) -> None:
    """
    What cannot be read is said with the system's reason.
    """
    (tmp_path / "c.yaml").mkdir()

    with pytest.raises(ConfigInvalid, match="cannot be read: Is a directory"):
        ChariotsConfig("c.yaml")


@pytest.mark.parametrize("name", ["config.json", "config", "config.yaml.bak"])
def test_the_end_of_the_name_says_the_language(write: Write, name: str) -> None:
    """
    A file of another name is refused, with the endings that there are.
    """
    with pytest.raises(ConfigInvalid, match=r"\.yaml, \.yml, \.toml"):
        ChariotsConfig(write(name, YAML))


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("c.yaml", ""),
        ("c.yaml", "# only a remark\n"),
        ("c.yaml", "{}"),
        ("c.toml", ""),
        ("c.toml", "# only a remark\n"),
    ],
)
def test_an_empty_file_is_refused(write: Write, name: str, text: str) -> None:
    """
    A file that says nothing is rather a mistake than a wish for defaults.
    """
    with pytest.raises(ConfigInvalid, match=f"'.*{name}' is empty"):
        ChariotsConfig(write(name, text))


@pytest.mark.parametrize(
    ("text", "kind"), [("- pipelines", "list"), ("hunter2", "str"), ("7", "int")]
)
def test_a_file_without_sections_is_refused(write: Write, text: str, kind: str) -> None:
    """
    A list or a single value at the top is said to be one, and is not shown.
    """
    with pytest.raises(ConfigInvalid, match=f"holds a {kind} where sections") as caught:
        ChariotsConfig(write("c.yaml", text))

    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize(
    ("name", "text", "place"),
    [
        ("c.yaml", "op_store:\n  op_store_db_url: [hunter2\n", "line 3, column 1"),
        ("c.yaml", "op_store:\n  op_store_db_url: *hunter2\n", "line 2, column 20"),
        ("c.yaml", "op_store: !!python/object:hunter2 {}\n", "line 1, column 11"),
        ("c.yaml", "pipelines: {}\n---\nhunter2: {}\n", "line 2, column 1"),
        ("c.yaml", "op_store: hunter2\x07\n", "character 18"),
        ("c.yaml", "op_store: 2026-13-45\n", "its values"),
        ("c.yaml", "[" * 5000, "its values"),
        ("c.toml", "[op_store]\nop_store_db_url = hunter2\n", "line 2, column 19"),
        ("c.toml", '[op_store]\nop_store_db_url = "hunter2\n', "line 2, column 27"),
        ("c.toml", "[op_store]\nserver_port = 1\nserver_port = 2\n", "line 3"),
        ("c.toml", "[op_store", "end of document"),
        ("c.toml", f"a = {'9' * 5000}", "its values"),
    ],
)
def test_what_is_no_yaml_and_no_toml_is_told_by_its_place(
    write: Write, name: str, text: str, place: str
) -> None:
    """
    The error says which line to look at, and neither it nor its traceback quotes the line.
    """
    with pytest.raises(ConfigInvalid, match=f"is not (YAML|TOML): see .*{place}") as caught:
        ChariotsConfig(write(name, text))

    assert "hunter2" not in "".join(traceback.format_exception(caught.value))
    assert caught.value.__context__ is None


def test_text_is_utf_8(tmp_path: Path) -> None:
    """
    A file of other bytes is refused, and they are not kept in the error.
    """
    (tmp_path / "c.yaml").write_bytes(b"pipelines: \xff\xfe")

    with pytest.raises(ConfigInvalid, match="is not text in UTF-8") as caught:
        ChariotsConfig("c.yaml")

    assert caught.value.__context__ is None


def test_a_key_of_yaml_stands_once(write: Write) -> None:
    """
    Of two sections of one name none is silently lost; merged anchors are no second key.
    """
    twice = write("twice.yaml", "pipelines:\n  server_port: 1\npipelines:\n  import_name: a\n")
    merged = write(
        "merged.yaml",
        """
        pipelines: &server
          server_host: here
          server_port: 1
        op_store:
          <<: {server_host: here}
          server_port: 2
        """,
    )

    with pytest.raises(ConfigInvalid, match="has a key twice in one section: see line 3, column 1"):
        ChariotsConfig(twice)
    assert "http://here:2" == ChariotsConfig(merged).op_store.server_url


def test_yaml_is_an_extra(write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    """
    Without PyYAML a YAML file is refused with what to install, and TOML is read.
    """
    monkeypatch.delitem(sys.modules, "chariots_core.config.yaml_text", raising=False)
    monkeypatch.setitem(sys.modules, "yaml", None)

    with pytest.raises(ConfigInvalid, match=r"pip install 'chariots-core\[yaml\]'"):
        ChariotsConfig(write("c.yaml", YAML))
    assert 8080 == ChariotsConfig(write("c.toml", TOML)).pipelines.server_port


def test_a_configuration_loads_only_what_it_makes(write: Write) -> None:
    """
    Reading TOML loads no YAML, no server and no database, and a client no more than httpx.
    """
    write("c.toml", "[pipelines]\nserver_port = 8080\n")
    code = (
        "import sys; from chariots.config import ChariotsConfig\n"
        "ChariotsConfig('c.toml').get_pipelines_client().close()\n"
        "print(sorted({'yaml', 'flask', 'sqlalchemy', 'fsspec'} & set(sys.modules)))"
    )

    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert "[]" == done.stdout.strip()
