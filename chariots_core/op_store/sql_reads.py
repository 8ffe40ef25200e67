"""
What an op store's tables say: rows to values.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final, TypeVar

import sqlalchemy as sa
from sqlalchemy import Connection, Row

from chariots_core.op_store.schema import (
    links,
    members,
    newness,
    op_versions,
    pipelines,
    publications,
    sets,
    state,
)
from chariots_core.op_store.schema import processes as reports
from chariots_core.op_store.values import (
    ANY,
    ActiveSet,
    Link,
    Manifest,
    OpVersion,
    Origin,
    ServingReport,
    names_code,
)
from chariots_core.versioning import Version

T = TypeVar("T")

#: How many questions one statement asks.
_BATCH: Final = 100


def moment(seconds: float) -> datetime:
    """
    A stored time.
    """
    return datetime.fromtimestamp(seconds, UTC)


def op_version(row: Row[Any]) -> OpVersion:
    """
    A row of saved versions as a value.
    """
    return OpVersion(
        seq=row.seq,
        op=row.op,
        version=Version.parse(f"{row.identity}_{row.created}"),
        code=row.code,
        digest=row.digest,
        serializer=row.serializer,
        size=row.size,
        pipeline=row.pipeline,
        job_id=row.job_id,
        released=row.rank is not None,
        origin=None if row.origin is None else Origin.from_json(row.origin),
        created_at=moment(row.created_at),
    )


_newest_first: Final = (newness.desc(), op_versions.c.seq.desc())


def newest(
    connection: Connection,
    ops: Collection[str],
    code: Mapping[str, str],
    trained_by: str | None,
) -> Mapping[str, OpVersion]:
    """
    The newest version of each op; see `BaseOpStoreClient.newest`.
    """
    found: dict[str, OpVersion] = {}
    for some in _batches(list(dict.fromkeys(ops))):
        each = (_newest_one(op, code.get(op), trained_by) for op in some)
        rows = connection.execute(sa.union_all(*(sa.select(one.subquery()) for one in each)))
        found.update((row.op, op_version(row)) for row in rows)
    return found


def _newest_one(op: str, code: str | None, trained_by: str | None) -> sa.Select[Any]:
    table = op_versions.c
    counts: sa.ColumnElement[bool] = table.rank.is_not(None)
    if trained_by is not None:
        counts |= table.pipeline == trained_by
    query = sa.select(op_versions).where(table.op == op, counts)
    if code is not None:
        query = query.where(table.code == code)
    return query.order_by(*_newest_first).limit(1)


def _batches(items: Sequence[T]) -> Iterator[Sequence[T]]:
    for start in range(0, len(items), _BATCH):
        yield items[start : start + _BATCH]


def savings(
    connection: Connection, op: str, version: Version | None, limit: int | None
) -> Sequence[OpVersion]:
    """
    What was saved of one op, the newest first.
    """
    query = (
        sa.select(op_versions)
        .where(op_versions.c.op == op, op_versions.c.rank.is_not(None))
        .order_by(*_newest_first)
        .limit(limit)
    )
    if version is not None:
        query = query.where(op_versions.c.identity == version.identity)
    return [op_version(row) for row in connection.execute(query)]


def valid(connection: Connection, asked: Iterable[Link]) -> frozenset[Link]:
    """
    The questions to which there is a validated link.
    """
    questions = list(dict.fromkeys(asked))
    found: set[Link] = set()
    for batch in _batches(questions):
        answers = connection.execute(
            sa.union_all(
                *(
                    sa.select(sa.literal(number).label("number")).where(_answered(link))
                    for number, link in enumerate(batch)
                )
            )
        )
        found.update(batch[row.number] for row in answers)
    return frozenset(found)


def _answered(link: Link) -> sa.Exists:
    return (
        sa.select(sa.literal(1))
        .select_from(links)
        .where(
            links.c.upstream == link.upstream,
            links.c.downstream == link.downstream,
            _is_version(links.c.upstream_version, link.upstream, link.upstream_version),
            _is_version(links.c.downstream_version, link.downstream, link.downstream_version),
        )
        .exists()
    )


def _is_version(column: sa.Column[str], op: str, asked: str) -> sa.ColumnElement[bool]:
    if asked == ANY:
        return sa.true()
    if not names_code(asked):
        return column == asked
    by_code = sa.select(op_versions.c.identity).where(
        op_versions.c.op == op,
        op_versions.c.code == asked,
        op_versions.c.rank.is_not(None),
    )
    return column.in_(by_code)


def links_between(connection: Connection, upstream: str, downstream: str) -> Sequence[Link]:
    """
    Every validated link between two ops, the oldest first.
    """
    rows = connection.execute(
        sa.select(links)
        .where(links.c.upstream == upstream, links.c.downstream == downstream)
        .order_by(links.c.created_at, links.c.upstream_version, links.c.downstream_version)
    )
    return [
        Link(
            upstream=row.upstream,
            upstream_version=row.upstream_version,
            downstream=row.downstream,
            downstream_version=row.downstream_version,
        )
        for row in rows
    ]


def active_sets(connection: Connection, names: Collection[str]) -> Mapping[str, ActiveSet]:
    """
    The active set of each pipeline that has one.
    """
    query = (
        sa.select(sets)
        .join(pipelines, pipelines.c.active == sets.c.seq)
        .where(pipelines.c.name.in_(list(names)))
    )
    return {found.pipeline: found for found in _with_members(connection, query)}


def activations(connection: Connection, pipeline: str, limit: int | None) -> Sequence[ActiveSet]:
    """
    The sets of a pipeline, the newest first.
    """
    query = (
        sa.select(sets)
        .where(sets.c.pipeline == pipeline)
        .order_by(sets.c.generation.desc())
        .limit(limit)
    )
    return _with_members(connection, query)


def _with_members(connection: Connection, query: sa.Select[Any]) -> list[ActiveSet]:
    rows = connection.execute(query).all()
    ops: dict[int, dict[str, OpVersion]] = {row.seq: {} for row in rows}
    if ops:
        joined = (
            sa.select(members.c.set_seq, op_versions)
            .join(op_versions, op_versions.c.seq == members.c.version_seq)
            .where(members.c.set_seq.in_(list(ops)))
        )
        for row in connection.execute(joined):
            ops[row.set_seq][row.op] = op_version(row)
    return [
        ActiveSet(
            pipeline=row.pipeline,
            generation=row.generation,
            ops=ops[row.seq],
            loads=row.loads,
            created_at=moment(row.created_at),
        )
        for row in rows
    ]


def candidate(connection: Connection, pipeline: str) -> Manifest | None:
    """
    What a pipeline's newest run trained, if nobody saved or replaced it yet.
    """
    row = connection.execute(
        sa.select(publications.c.manifest, publications.c.released)
        .where(publications.c.pipeline == pipeline)
        .order_by(publications.c.seq.desc())
        .limit(1)
    ).first()
    return None if row is None or row.released else Manifest.from_json(row.manifest)


def processes(connection: Connection, app: str, *, clock: str) -> Sequence[ServingReport]:
    """
    The processes of an app whose reports are not over.
    """
    query = sa.select(reports.c.report).where(
        reports.c.app == app, reports.c.expires_at > sa.literal_column(clock)
    )
    found = [ServingReport(**json.loads(text)) for text in connection.execute(query).scalars()]
    return sorted(found, key=lambda process: (process.host, process.pid))


def known_pipelines(connection: Connection) -> frozenset[str]:
    """
    The names of the registered pipelines.
    """
    return frozenset(connection.execute(sa.select(pipelines.c.name)).scalars())


def revision(connection: Connection) -> int:
    """
    How often links or active sets were changed.
    """
    return connection.execute(sa.select(state.c.revision)).scalar() or 0
