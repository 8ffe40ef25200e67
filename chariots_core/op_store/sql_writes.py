"""
One change of an op store's tables, in one transaction.
"""

from __future__ import annotations

import json
import time
from collections.abc import Collection, Iterable, Mapping
from typing import Any

import attrs
import sqlalchemy as sa
from sqlalchemy import Connection, Row

from chariots_core.errors import OpNameConflict, OpVersionNotFound
from chariots_core.op_store.schema import (
    leases,
    members,
    newness,
    op_versions,
    pipelines,
    processes,
    publications,
    sets,
    state,
)
from chariots_core.op_store.values import (
    Link,
    Manifest,
    Origin,
    SavedOp,
    ServingReport,
    short_version,
)


class Change:
    """
    A change under way. It holds the store's lock until its transaction ends.

    Nothing is counted as changed before `finish`.

    Args:
        connection: in a transaction that writes.
    """

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._now = time.time()
        self._serial = self._lock()

    def _lock(self) -> int:
        first = sa.text(
            "INSERT INTO op_store_state (id, serial, revision) VALUES (1, 0, 0) "
            "ON CONFLICT (id) DO NOTHING"
        )
        self._connection.execute(first)
        # an update that changes nothing: PostgreSQL lets no second writer pass it
        locked = sa.update(state).values(serial=state.c.serial).returning(state.c.serial)
        return int(self._connection.execute(locked).scalar_one())

    def _next(self) -> int:
        self._serial += 1
        return self._serial

    def finish(self) -> None:
        """
        Let every process see that something has changed.
        """
        self._connection.execute(
            sa.update(state).values(serial=self._serial, revision=state.c.revision + 1)
        )

    # -- publications

    def is_published(self, key: str) -> bool:
        """
        Whether a manifest of that key was taken over already.
        """
        query = sa.select(publications.c.seq).where(publications.c.key == key)
        return self._connection.execute(query).first() is not None

    def note_publication(self, manifest: Manifest, *, key: str | None, released: bool) -> None:
        """
        Keep a manifest: the newest of its pipeline from now on.
        """
        self._connection.execute(
            sa.insert(publications).values(
                seq=self._next(),
                key=key,
                pipeline=manifest.pipeline,
                manifest=manifest.to_json(),
                released=released,
                created_at=self._now,
            )
        )

    # -- versions

    def save_candidate(self, saved: SavedOp, manifest: Manifest) -> None:
        """
        Keep what a run trained, without counting it as saved.
        """
        self._insert(saved, manifest, rank=None)

    def save(self, saved: SavedOp, manifest: Manifest) -> int:
        """
        Save a version, unless it is there; return its seq.

        What a run trained becomes the op's newest version. Other bytes of a
        version that is known take the place of those, and no more than that. A
        state that nobody trained does not outdo one that the same code saved before.
        """
        newest = self._row(saved)
        if newest is not None and _is_same(newest, saved) and _class(newest) == _class(saved):
            return int(newest.seq)
        known = self._row(saved, op_versions.c.identity == saved.version.identity)
        if saved.trained:
            return self._put(saved, manifest, rank=self._next())
        if known is not None and _is_same(known, saved):
            return int(known.seq)
        if known is not None:
            return self._put(saved, manifest, rank=known.rank)
        outdone = saved.digest is not None and self._row(saved, op_versions.c.code == _code(saved))
        return self._put(saved, manifest, rank=0 if outdone else self._next())

    def check_class(self, saved: SavedOp) -> None:
        """
        Check that the op's name does not belong to another class.

        Raises:
            OpNameConflict: another app was quicker.
        """
        newest, mine = self._row(saved), _class(saved)
        other = None if newest is None else _class(newest)
        if mine is None or other is None or mine == other:
            return
        if mine not in self._classes(saved.op):
            raise OpNameConflict(
                f"op {saved.op!r} of class {mine} has the name of {other} in this store: give one "
                "of them a name of its own (name = '...' in the class), or another op store"
            )

    def _classes(self, op: str) -> set[str | None]:
        """
        The classes that have trained states under an op's name.
        """
        origins = self._connection.execute(
            sa.select(op_versions.c.origin).where(
                op_versions.c.op == op,
                op_versions.c.rank.is_not(None),
                op_versions.c.origin.is_not(None),
            )
        ).scalars()
        return {each.op_class for each in map(Origin.from_json, origins) if each.trained}

    def _put(self, saved: SavedOp, manifest: Manifest, rank: int) -> int:
        candidate = self._row(
            saved, op_versions.c.identity == saved.version.identity, released=False
        )
        if candidate is None or not _is_same(candidate, saved):
            return self._insert(saved, manifest, rank=rank)
        self._connection.execute(
            sa.update(op_versions).where(op_versions.c.seq == candidate.seq).values(rank=rank)
        )
        return int(candidate.seq)

    def _row(
        self, saved: SavedOp, *conditions: sa.ColumnElement[bool], released: bool = True
    ) -> Row[Any] | None:
        """
        The newest row of the op for which the conditions hold.
        """
        rank = op_versions.c.rank
        return self._connection.execute(
            sa.select(op_versions)
            .where(op_versions.c.op == saved.op, *conditions)
            .where(rank.is_not(None) if released else rank.is_(None))
            .order_by(newness.desc(), op_versions.c.seq.desc())
            .limit(1)
        ).first()

    def _insert(self, saved: SavedOp, manifest: Manifest, rank: int | None) -> int:
        seq = self._next()
        self._connection.execute(
            sa.insert(op_versions).values(
                seq=seq,
                op=saved.op,
                identity=saved.version.identity,
                created=saved.version.creation_time.isoformat(),
                code=_code(saved),
                digest=saved.digest,
                serializer=saved.serializer,
                size=saved.size,
                pipeline=manifest.pipeline or None,
                job_id=manifest.job_id,
                rank=rank,
                created_at=self._now,
                origin=None if saved.origin is None else saved.origin.to_json(),
            )
        )
        return seq

    # -- leases

    def take_lease(
        self, ops: Collection[str], holder: str, seconds: float, *, renew: bool, clock: str
    ) -> Mapping[str, str]:
        """
        Give *holder* the leases of all these ops, or return who holds some of them. A
        renewal fails if another holder has had one of them meanwhile.
        """
        now = float(self._connection.execute(sa.text(f"SELECT {clock}")).scalar_one())
        held = self._connection.execute(
            sa.select(leases.c.op, leases.c.holder).where(
                leases.c.op.in_(list(ops)), leases.c.holder != holder, leases.c.expires_at > now
            )
        ).all()
        if held:
            return {row.op: row.holder for row in held}
        if renew and (lost := set(ops) - self._leased_to(holder)):
            return dict.fromkeys(sorted(lost), "a training that has ended")
        self._connection.execute(sa.delete(leases).where(leases.c.op.in_(list(ops))))
        rows = [{"op": op, "holder": holder, "expires_at": now + seconds} for op in ops]
        if rows:
            self._connection.execute(sa.insert(leases), rows)
        return {}

    def _leased_to(self, holder: str) -> set[str]:
        query = sa.select(leases.c.op).where(leases.c.holder == holder)
        return set(self._connection.execute(query).scalars())

    def end_lease(self, holder: str) -> None:
        """
        Delete the leases of *holder*.
        """
        self._connection.execute(sa.delete(leases).where(leases.c.holder == holder))

    # -- presence

    def report(self, process: ServingReport, seconds: float, *, clock: str) -> None:
        """
        Store the report of a process, and delete expired reports.
        """
        now = float(self._connection.execute(sa.text(f"SELECT {clock}")).scalar_one())
        self._connection.execute(
            sa.delete(processes).where(
                (processes.c.id == process.id) | (processes.c.expires_at <= now)
            )
        )
        self._connection.execute(
            sa.insert(processes).values(
                id=process.id,
                app=process.app,
                report=json.dumps(
                    {
                        **attrs.asdict(process, recurse=False),
                        "serving": dict(process.serving),
                        "code": dict(process.code),
                    }
                ),
                expires_at=now + seconds,
            )
        )

    # -- links

    def validate(
        self, validated: Iterable[Link], *, pipeline: str | None = None, job_id: str | None = None
    ) -> None:
        """
        Add links; those that are there stay as they are.
        """
        statement = sa.text(
            "INSERT INTO op_store_links (upstream, downstream, upstream_version, "
            "downstream_version, pipeline, job_id, created_at) VALUES (:upstream, :downstream, "
            ":upstream_version, :downstream_version, :pipeline, :job_id, :created_at) "
            "ON CONFLICT DO NOTHING"
        )
        rows = [
            {
                "upstream": link.upstream,
                "downstream": link.downstream,
                "upstream_version": link.upstream_version,
                "downstream_version": link.downstream_version,
                "pipeline": pipeline,
                "job_id": job_id,
                "created_at": self._now,
            }
            for link in validated
        ]
        if rows:
            self._connection.execute(statement, rows)

    # -- pipelines and their sets

    def add_pipeline(self, name: str) -> None:
        """
        Note a pipeline's name, if it is new.
        """
        statement = sa.text(
            "INSERT INTO op_store_pipelines (name, created_at) VALUES (:name, :created_at) "
            "ON CONFLICT (name) DO NOTHING"
        )
        self._connection.execute(statement, {"name": name, "created_at": self._now})

    def is_active(self, pipeline: str) -> bool:
        """
        Whether a pipeline has an active set.
        """
        query = sa.select(pipelines.c.active).where(pipelines.c.name == pipeline)
        return self._connection.execute(query).scalar() is not None

    def activate(self, pipeline: str, seqs: Iterable[int]) -> None:
        """
        Make saved versions the active set of a pipeline. A set that is the newest
        one already stays, and counts one more load.
        """
        self.add_pipeline(pipeline)
        seqs = list(dict.fromkeys(seqs))
        newest, generation, present = self._newest_set(pipeline)
        if newest is not None and present == set(seqs):
            self._connection.execute(
                sa.update(sets).where(sets.c.seq == newest).values(loads=sets.c.loads + 1)
            )
            return
        number = self._next()
        self._connection.execute(
            sa.insert(sets).values(
                seq=number, pipeline=pipeline, generation=generation + 1, created_at=self._now
            )
        )
        rows = [{"set_seq": number, "version_seq": seq} for seq in seqs]
        if rows:
            self._connection.execute(sa.insert(members), rows)
        self._connection.execute(
            sa.update(pipelines).where(pipelines.c.name == pipeline).values(active=number)
        )

    def _newest_set(self, pipeline: str) -> tuple[int | None, int, set[int]]:
        """
        The newest set of a pipeline, its generation, and the versions in it.
        """
        rows = self._connection.execute(
            sa.select(sets.c.seq, sets.c.generation, members.c.version_seq)
            .select_from(
                pipelines.join(sets, sets.c.seq == pipelines.c.active).outerjoin(
                    members, members.c.set_seq == sets.c.seq
                )
            )
            .where(pipelines.c.name == pipeline)
        ).all()
        if not rows:
            return None, 0, set()
        present = {row.version_seq for row in rows if row.version_seq is not None}
        return rows[0].seq, rows[0].generation, present

    def seq_of(self, saved: SavedOp, manifest: Manifest) -> int:
        """
        The seq of exactly these bytes of a version; an op without state needs no saving before.

        Raises:
            OpVersionNotFound: they were never saved.
        """
        if saved.digest is None:
            return self.save(saved, manifest)
        query = (
            sa.select(op_versions.c.seq)
            .where(
                op_versions.c.op == saved.op,
                op_versions.c.identity == saved.version.identity,
                op_versions.c.digest == saved.digest,
                op_versions.c.rank.is_not(None),
            )
            .order_by(op_versions.c.seq.desc())
            .limit(1)
        )
        seq = self._connection.execute(query).scalar()
        if seq is None:
            raise OpVersionNotFound(
                f"op {saved.op!r} {short_version(saved.version)} cannot be activated: "
                "it was never saved; save its pipeline first"
            )
        return int(seq)


def _is_same(row: Row[Any], saved: SavedOp) -> bool:
    return (row.identity, row.digest) == (saved.version.identity, saved.digest)


def _class(saved: Row[Any] | SavedOp) -> str | None:
    """
    The class that owns the op's name, if the name is a default one.
    """
    origin = Origin.from_json(saved.origin) if isinstance(saved.origin, str) else saved.origin
    return None if origin is None or origin.named else origin.op_class


def _code(saved: SavedOp) -> str:
    return saved.code or saved.version.major
