"""Beside a slow attempt at a process there may be another, each with a lease"""

import sqlalchemy as sa
from alembic import op

revision = "0018"
down_revision = "0017"
branch_labels = None
depends_on = None
older_may_run = False


def upgrade() -> None:
    op.add_column("process", sa.Column("slow_attempt", sa.SmallInteger(), nullable=True))
    op.add_column("process", sa.Column("slow_consumer", sa.String(length=128), nullable=True))
    _key_leases_by("pid", "attempt")


def downgrade() -> None:
    newest = "SELECT p.attempt FROM process p WHERE p.pid = lease.pid"
    op.execute(f"DELETE FROM lease WHERE attempt <> ({newest})")  # noqa: S608
    _key_leases_by("pid")
    op.drop_column("process", "slow_consumer")
    op.drop_column("process", "slow_attempt")


def _key_leases_by(*columns: str) -> None:
    if op.get_bind().dialect.name == "sqlite":  # whose tables keep their key: it is copied
        lease = sa.Table(
            "lease",
            sa.MetaData(),
            sa.Column("pid", sa.BigInteger(), nullable=False),
            sa.Column("attempt", sa.SmallInteger(), nullable=False),
            sa.Column("worker", sa.String(length=128), nullable=False),
            sa.Column("lease_until", sa.DateTime(), nullable=False),
            sa.ForeignKeyConstraint(["pid"], ["process.pid"], name=op.f("fk_lease_pid_process")),
            sa.PrimaryKeyConstraint(*columns, name=op.f("pk_lease")),
            sa.Index(op.f("ix_lease_lease_until"), "lease_until"),
        )
        with op.batch_alter_table("lease", copy_from=lease, recreate="always"):
            pass
    else:
        # In one statement: the foreign key is never without an index.
        op.execute(f"ALTER TABLE lease DROP PRIMARY KEY, ADD PRIMARY KEY ({', '.join(columns)})")
