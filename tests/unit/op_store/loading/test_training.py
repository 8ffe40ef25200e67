"""
What jobs and web processes train, and when it is served.
"""

from __future__ import annotations

from collections.abc import Callable

import pytest

from chariots_core.errors import (
    VersionError,
)
from chariots_core.op_store.values import Manifest, short_version
from chariots_core.pipelines import BaseOp, Node, Pipeline
from tests.unit.op_store.kit import (
    OUTPUT,
    App,
    Centre,
    Numbers,
    texts,
    train_all,
    train_centre,
)

MakeApp = Callable[..., App]


def test_trained_chain_is_served_after_a_load(app: App) -> None:
    """
    What jobs trained is served once it is loaded, without a save; until then the old is.
    """
    app.loaded.open()
    train_all(app)
    before = app.call("predict", [2.0])
    app.loaded.load("predict")

    # centre has learnt 1 + 2 + 6, and scale the same numbers with 9 added to each
    assert ([2.0], [2.0 + 9.0 + 36.0]) == (before, app.call("predict", [2.0]))


def test_retrained_upstream_blocks(app: App) -> None:
    """
    A newer upstream cannot be loaded before its consumer was trained with it; who
    asks is told both versions and the remedy, and the old set is served on.
    """
    train_all(app)
    app.loaded.load("predict")
    served = app.call("predict", [2.0])
    app.train("train_centre", job_id="again")
    newest = app.store.newest(["centre", "scale"])
    before = (app.store.active("predict"), app.store.revision())

    with pytest.raises(VersionError) as caught:
        app.loaded.load("predict")

    assert (
        (
            f"'centre' {short_version(newest['centre'].version)} -> "
            f"'scale' {short_version(newest['scale'].version)} is not validated: "
            "'scale' must be trained with this version of 'centre'"
        ),
    ) == caught.value.blockers
    assert (
        "chariots load train_scale",
        "chariots call train_scale --wait",
        "chariots save train_scale",
        "chariots load predict",
    ) == caught.value.commands
    assert before == (app.store.active("predict"), app.store.revision())
    assert (True, served) == (app.loaded.is_loaded("predict"), app.call("predict", [2.0]))


def test_consumer_trained_again_unblocks(app: App) -> None:
    """
    After the consumer was trained with the newer upstream, all can be loaded.
    """
    train_all(app)
    train_all(app, job="again")
    app.loaded.load("predict")

    assert (2, 2) == (
        app.loaded.get("predict").generation,
        len({saving.version for saving in app.store.savings("scale") if saving.job_id}),
    )


@pytest.mark.parametrize("saved", ["predict", "train_scale", "train_centre"])
def test_saving_does_not_talk_a_blocker_away(app: App, saved: str) -> None:
    """
    Saving a pipeline that was not trained validates no upstream that it never ran with.
    """
    train_all(app)
    app.loaded.load("predict")
    app.train("train_centre", job_id="again")
    app.loaded.load("train_scale")
    app.loaded.save(saved)

    with pytest.raises(VersionError):
        app.loaded.load("predict")


def test_training_goes_on_from_the_newest_version(app: App, make: MakeApp) -> None:
    """
    Each training starts from the newest saved state, in whichever process it runs.
    """
    other = make()
    app.train("train_centre", job_id="one")
    other.train("train_centre", job_id="two")
    app.train("train_centre", job_id="three")

    assert b"27.0" == app.store.get_blob(app.store.newest(["centre"])["centre"].digest or "")


def test_other_ops_of_a_training_come_from_its_active_set(app: App) -> None:
    """
    An upstream that was retrained reaches a training only when that pipeline is loaded.
    """
    app.train("train_centre", job_id="one")
    before = app.train("train_scale", job_id="two")
    app.loaded.load("train_scale")
    after = app.train("train_scale", job_id="three")

    assert (9.0, 45.0) == (before[0] - 1.0, after[0] - 10.0)


def test_failed_training_leaves_nothing(app: App, make: MakeApp) -> None:
    """
    A run that raises publishes nothing, and its half-trained op is thrown away.
    """

    class Broken(BaseOp):
        def execute(self, numbers: object) -> None:
            raise RuntimeError("broken after training")

    served = Pipeline(
        [
            Node(Numbers(), output_nodes="x"),
            Node(Centre(fits=True), ["x"], "y"),
            Node(Broken(), ["y"], OUTPUT),
        ],
        name="broken",
    )
    app = make([served, train_centre()])
    for _ in range(2):
        with pytest.raises(RuntimeError, match="broken after training"):
            app.train("broken")

    assert (1, None, 10.0) == (
        len(app.store.savings("centre")),
        app.store.candidate("broken"),
        app.train("train_centre")[0],
    )


def test_versions_of_a_training_are_those_it_made(app: App) -> None:
    """
    The run tells the versions that it made, and they are the pipeline's from then on.
    """
    before = texts(app, "train_centre")
    with app.loaded.training("train_centre") as run:
        app.pipelines["train_centre"].run(ops=run.ops)
        made = dict(run.versions())
        app.loaded.publish(run.stage(job_id="job"))
    saved = str(app.store.newest(["centre"])["centre"].version)

    assert (saved, before["numbers"]) == (made["centre"], made["numbers"])
    assert before["centre"] != saved
    assert made == texts(app, "train_centre")


def train_all_here(app: App, saver: App) -> None:
    """
    Train the whole chain in a web process, and let another one save it.
    """
    app.train("train_centre")
    saver.loaded.save("train_centre")
    app.loaded.load("train_scale")
    app.train("train_scale")
    saver.loaded.save("train_scale")


def test_saved_training_is_served_after_a_load(app: App) -> None:
    """
    What a web process trained is served after a save and a load.
    """
    train_all_here(app, app)
    app.loaded.load("predict")

    assert [47.0] == app.call("predict", [2.0])


def test_any_process_saves_and_loads(app: App, make: MakeApp) -> None:
    """
    One process trains, another saves, a third loads, and all serve it.
    """
    trainer, saver = make(), make()
    train_all_here(trainer, saver)
    app.loaded.load("predict")

    assert [[47.0]] * 3 == [each.call("predict", [2.0]) for each in (app, trainer, saver)]


def test_unsaved_training_is_not_served(app: App, make: MakeApp) -> None:
    """
    What was trained and not saved changes nothing for others, and blocks nobody.
    """
    app.train("train_centre")
    app.loaded.load("predict")

    assert ([2.0], [2.0]) == (app.call("predict", [2.0]), make().call("predict", [2.0]))


def test_unsaved_trainings_add_up(app: App, make: MakeApp) -> None:
    """
    A training in any web process goes on from the last one, saved or not.
    """
    outputs = [each.train("train_centre")[0] for each in (app, make(), app)]

    assert [10.0, 19.0, 28.0] == outputs


def test_saving_takes_the_newest_run(app: App, make: MakeApp) -> None:
    """
    Of several unsaved trainings, a save takes the last, whichever process made it.
    """
    other = make()
    app.train("train_centre")
    other.train("train_centre")
    app.loaded.save("train_centre")

    assert b"18.0" == app.store.get_blob(app.store.newest(["centre"])["centre"].digest or "")


def test_saving_does_not_go_behind_a_job(app: App) -> None:
    """
    A run that a job has outdone since is no longer taken by a save.
    """
    app.train("train_centre")
    app.train("train_centre", job_id="job")
    newest = app.store.newest(["centre"])
    app.loaded.save("train_centre")

    assert newest == app.store.newest(["centre"])


def test_save_takes_what_is_trained_meanwhile(
    app: App, make: MakeApp, monkeypatch: pytest.MonkeyPatch
) -> None:
    """
    A training that ends while another process saves is not lost: it is saved as well.
    """
    other = make()
    app.train("train_centre")
    look = app.store.candidate
    meanwhile = [lambda: other.train("train_centre")]

    def candidate(pipeline: str) -> Manifest | None:
        found = look(pipeline)
        if meanwhile:
            meanwhile.pop()()
        return found

    monkeypatch.setattr(app.store, "candidate", candidate)
    app.loaded.save("train_centre")
    known = app.store.newest(["centre"])["centre"]

    assert (b"18.0", None) == (
        app.store.get_blob(known.digest or ""),
        look("train_centre"),
    )
