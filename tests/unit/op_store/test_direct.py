"""
Pipelines that are saved and loaded without an app.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from chariots_core.errors import VersionError
from chariots_core.pipelines import Pipeline
from chariots_core.testing.op_store import TestOpStoreClient
from chariots_core.versioning import VersionedField, VersionType
from tests.unit.op_store.kit import (
    App,
    Centre,
    Counter,
    Rounded,
    Scale,
    count,
    pipelines,
    predict,
    recoded,
    train_centre,
    train_scale,
)


@pytest.fixture(name="client")
def _client(tmp_path: Path) -> TestOpStoreClient:
    return TestOpStoreClient(tmp_path / "store")


def test_usable_at_once(tmp_path: Path) -> None:
    """
    The client needs a path and nothing else; making it makes nothing, tables may be
    made, as often as one likes.
    """
    client = TestOpStoreClient(str(tmp_path / "a" / "b"))
    before = list(tmp_path.iterdir())
    client.server.db.create_all()
    client.server.db.create_all()

    assert ([], False) == (before, client.pipeline_exists("predict"))


def test_two_clients_of_one_folder(tmp_path: Path) -> None:
    """
    The folder is the store: what one client saved, another one knows.
    """
    counted = count()
    counted.run()
    counted.save(TestOpStoreClient(tmp_path))

    assert 2 == count().load(TestOpStoreClient(tmp_path)).run()


def test_relative_folder_is_left_behind_by_nobody(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """
    A relative folder is one place for facts and bytes, wherever the process goes.
    """
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path)
    client = TestOpStoreClient("store")
    counted = count()
    counted.run()
    counted.save(client)
    monkeypatch.chdir(tmp_path / "elsewhere")

    assert 2 == count().load(client).run()
    assert [] == list((tmp_path / "elsewhere").iterdir())


def test_folder_with_odd_characters(tmp_path: Path) -> None:
    """
    Any folder will do.
    """
    for name in ("with space", "100%", "a#b", "données"):
        client = TestOpStoreClient(tmp_path / name)
        count().save(client)
        assert (tmp_path / name / "op_store.db").exists()


def test_saved_pipeline_is_loaded(client: TestOpStoreClient) -> None:
    """
    Saving keeps state and links; loading gives another pipeline of the same ops both,
    and gives the pipeline back.
    """
    counted = count()
    for _ in range(3):
        counted.run()
    counted.save(client)
    fresh = count()
    loaded = fresh.load(client)

    assert (True, 4, 4) == (loaded is fresh, fresh.run(), counted.run())


def test_loading_changes_no_op_of_the_user(client: TestOpStoreClient) -> None:
    """
    A load binds new ops; those that the pipeline was made with stay as they are.
    """
    counter = Counter()
    counted = count()
    counted.run()
    counted.save(client)
    pipeline = Pipeline(count().pipeline_nodes, name="count")
    given = pipeline.ops["counter"]
    pipeline.load(client)

    assert isinstance(given, Counter)
    assert (0, 0, False) == (counter.count, given.count, pipeline.ops["counter"] is given)


def train(client: TestOpStoreClient) -> tuple[Pipeline, Pipeline]:
    """
    Train and save the chain, by hand.
    """
    centre, scale = train_centre(), train_scale()
    for pipeline in (centre, scale, predict()):
        pipeline.save(client)
    centre.run()
    centre.save(client)
    scale.load(client)
    scale.run()
    scale.save(client)
    return centre, scale


def test_trained_chain(client: TestOpStoreClient) -> None:
    """
    What was trained and saved by hand is loaded together.
    """
    train(client)

    assert [47.0] == predict().load(client).run([2.0])


def test_retrained_upstream_blocks(client: TestOpStoreClient) -> None:
    """
    A pipeline is not loaded with an upstream that its consumer was not trained with;
    after a failed load everything is as it was.
    """
    centre, _ = train(client)
    served = predict().load(client)
    centre.run()
    centre.save(client)
    before = client.active("predict")
    with pytest.raises(
        VersionError,
        match=r"'centre' .* -> 'scale' .* 'scale' must be trained with this version of 'centre'",
    ):
        served.load(client)

    assert ([47.0], before) == (served.run([2.0]), client.active("predict"))


def test_saving_untrained_does_not_unblock(client: TestOpStoreClient) -> None:
    """
    Loading a newer upstream into a training and saving that without a run validates nothing.
    """
    centre, scale = train(client)
    centre.run()
    centre.save(client)
    scale.load(client)
    scale.save(client)
    with pytest.raises(VersionError):
        predict().load(client)
    scale.run()
    scale.save(client)

    assert [2.0 + 18.0 + 36.0 + 63.0] == predict().load(client).run([2.0])


def test_saving_a_fresh_pipeline_hides_no_training(client: TestOpStoreClient) -> None:
    """
    A pipeline with ops that nobody trained can be saved after a training, and loads that.
    """
    centre, scale = train_centre(), train_scale()
    centre.run()
    centre.save(client)
    scale.save(client)
    scale.load(client)
    scale.run()
    scale.save(client)
    predict().save(client)

    assert [47.0] == predict().load(client).run([2.0])


def test_unknown_links_are_not_valid(client: TestOpStoreClient) -> None:
    """
    A pipeline that nobody saved cannot be loaded: no run joined its ops with state.
    """
    with pytest.raises(VersionError) as caught:
        predict().load(client)

    assert (1, None) == (len(caught.value.blockers), client.active("predict"))


def test_changed_code_is_blocked_until_saved(client: TestOpStoreClient) -> None:
    """
    A new version of an op without state has to be saved before it is loaded.
    """
    train(client)
    changed = predict(recoded(Rounded, digits=VersionedField(1, VersionType.MINOR)))
    with pytest.raises(VersionError, match="save 'predict' if the two fit"):
        changed.load(client)
    served = predict().load(client)
    changed.save(client)

    assert ([47.2], [47.25]) == (changed.load(client).run([2.25]), served.run([2.25]))


def test_new_major_keeps_fresh_state(client: TestOpStoreClient) -> None:
    """
    State that other code saved is not loaded into an op of a new major version.
    """
    counted = count()
    counted.run()
    counted.save(client)
    newer = recoded(Counter, kind=VersionedField("other", VersionType.MAJOR))
    pipeline = count()
    pipeline = Pipeline(
        [type(pipeline.pipeline_nodes[0])(newer(), output_nodes="__pipeline_output__")],
        name="count",
    )

    assert 1 == pipeline.load(client).run()


def test_app_and_hand_share_a_store(client: TestOpStoreClient) -> None:
    """
    What was trained by hand is loaded by an app, and the other way round.
    """
    train(client)
    app = App(client, pipelines())
    app.loaded.load("predict")
    here = app.call("predict", [2.0])
    app.train("train_centre", job_id="job")
    app.loaded.load("train_scale")
    app.train("train_scale", job_id="job")

    assert ([47.0], [2.0 + 18.0 + 36.0 + 63.0]) == (here, predict().load(client).run([2.0]))


def test_second_load_of_the_same_is_no_new_set(client: TestOpStoreClient) -> None:
    """
    Loading by hand what is active already leaves the pipeline's history alone.
    """
    train(client)
    for _ in range(3):
        predict().load(client)

    assert [2, 1] == [earlier.generation for earlier in client.activations("predict")]


def test_versions_after_a_load(client: TestOpStoreClient) -> None:
    """
    A loaded op is of the version that was saved, its creation time included.
    """
    train(client)
    loaded = predict().load(client)
    saved = client.newest(["centre", "scale"])

    assert {op: str(known.version) for op, known in saved.items()} == {
        path: str(op.op_version)
        for path, op in loaded.ops.items()
        if isinstance(op, Centre | Scale)
    }
