"""
The tables of an op store.
"""

from __future__ import annotations

from typing import Final

import sqlalchemy as sa

from chariots_core.sql import Schema

_tables: Final = sa.MetaData()

#: One row. Whoever writes locks it first, so that writers follow one another.
state: Final = sa.Table(
    "op_store_state",
    _tables,
    sa.Column("id", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("serial", sa.BigInteger, nullable=False),
    sa.Column("revision", sa.BigInteger, nullable=False),
)

#: Everything that was ever saved; rows are added and never taken away. The
#: newest version of an op is the one of the highest rank; rank 0 was never the
#: newest, and one without a rank was trained, and not saved yet. Ranks and seqs
#: come from the same counter.
op_versions: Final = sa.Table(
    "op_store_versions",
    _tables,
    sa.Column("seq", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("op", sa.String(255), nullable=False),
    sa.Column("identity", sa.String(400), nullable=False),
    sa.Column("created", sa.String(40), nullable=False),
    sa.Column("code", sa.String(128), nullable=False),
    sa.Column("digest", sa.String(64)),
    sa.Column("serializer", sa.String(255)),
    sa.Column("size", sa.BigInteger, nullable=False),
    sa.Column("pipeline", sa.String(255)),
    sa.Column("job_id", sa.String(64)),
    sa.Column("rank", sa.BigInteger),
    sa.Column("created_at", sa.Float(53), nullable=False),
    sa.Column("origin", sa.Text),
    sa.Index("op_store_versions_by_op", "op", "identity"),
)

#: What counts as newer: what is not saved yet counts from when it was trained.
newness: Final = sa.func.coalesce(op_versions.c.rank, op_versions.c.seq)
sa.Index("op_store_versions_by_newness", op_versions.c.op, newness, op_versions.c.seq)

links: Final = sa.Table(
    "op_store_links",
    _tables,
    sa.Column("upstream", sa.String(255), primary_key=True),
    sa.Column("downstream", sa.String(255), primary_key=True),
    sa.Column("upstream_version", sa.String(400), primary_key=True),
    sa.Column("downstream_version", sa.String(400), primary_key=True),
    sa.Column("pipeline", sa.String(255)),
    sa.Column("job_id", sa.String(64)),
    sa.Column("created_at", sa.Float(53), nullable=False),
)

#: Each manifest that was published; a job's has its key, and that once.
publications: Final = sa.Table(
    "op_store_publications",
    _tables,
    sa.Column("seq", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("key", sa.String(400), unique=True),
    sa.Column("pipeline", sa.String(255), nullable=False),
    sa.Column("manifest", sa.Text, nullable=False),
    sa.Column("released", sa.Boolean, nullable=False),
    sa.Column("created_at", sa.Float(53), nullable=False),
    sa.Index("op_store_publications_by_pipeline", "pipeline", "seq"),
)

pipelines: Final = sa.Table(
    "op_store_pipelines",
    _tables,
    sa.Column("name", sa.String(255), primary_key=True),
    sa.Column("active", sa.BigInteger),
    sa.Column("created_at", sa.Float(53), nullable=False),
)

sets: Final = sa.Table(
    "op_store_sets",
    _tables,
    sa.Column("seq", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("pipeline", sa.String(255), nullable=False),
    sa.Column("generation", sa.BigInteger, nullable=False),
    sa.Column("created_at", sa.Float(53), nullable=False),
    sa.Column("loads", sa.BigInteger, nullable=False, server_default="1"),
    sa.UniqueConstraint("pipeline", "generation"),
)

members: Final = sa.Table(
    "op_store_members",
    _tables,
    sa.Column("set_seq", sa.ForeignKey("op_store_sets.seq"), primary_key=True),
    sa.Column("version_seq", sa.ForeignKey("op_store_versions.seq"), primary_key=True),
)

#: The training leases, one row for each op. A lease that is not renewed in time has
#: expired.
leases: Final = sa.Table(
    "op_store_leases",
    _tables,
    sa.Column("op", sa.String(255), primary_key=True),
    sa.Column("holder", sa.String(400), nullable=False),
    sa.Column("expires_at", sa.Float(53), nullable=False),
)

#: The presence reports of processes.
processes: Final = sa.Table(
    "op_store_processes",
    _tables,
    sa.Column("id", sa.String(64), primary_key=True),
    sa.Column("app", sa.String(255), nullable=False),
    sa.Column("report", sa.Text, nullable=False),
    sa.Column("expires_at", sa.Float(53), nullable=False),
)

SCHEMA: Final = Schema(
    component="op_store",
    version=1,
    tables=_tables,
    additions=(
        "ALTER TABLE op_store_versions ADD COLUMN origin TEXT",
        "ALTER TABLE op_store_sets ADD COLUMN loads BIGINT NOT NULL DEFAULT 1",
    ),
)
