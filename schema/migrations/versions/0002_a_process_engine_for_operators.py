"""A process engine for operators: queues by group, pauses, live services, reruns, deleted images"""

import sqlalchemy as sa
from alembic import op

from schema.base import TABLE_OPTIONS, UtcDateTime

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None
older_may_run = False


def upgrade() -> None:
    op.create_table(
        "paused_group",
        sa.Column("site_id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("group_id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("paused_at", UtcDateTime, nullable=False),
        sa.ForeignKeyConstraint(
            ["group_id"], ["process_group.group_id"], name=op.f("fk_paused_group_group_id_process_group")
        ),
        sa.ForeignKeyConstraint(["site_id"], ["site.site_id"], name=op.f("fk_paused_group_site_id_site")),
        sa.PrimaryKeyConstraint("site_id", "group_id", name=op.f("pk_paused_group")),
        **TABLE_OPTIONS,
    )
    op.create_table(
        "service",
        sa.Column("name", sa.String(length=128), nullable=False),
        sa.Column("kind", sa.String(length=16), nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("host", sa.String(length=128), nullable=False),
        sa.Column("version", sa.String(length=32), nullable=False),
        sa.Column("site_id", sa.Integer(), nullable=True),
        sa.Column("group_names", sa.Text(), nullable=False),
        sa.Column("slots", sa.Integer(), nullable=False),
        sa.Column("started_at", UtcDateTime, nullable=False),
        sa.Column("alive_until", UtcDateTime, nullable=False),
        sa.ForeignKeyConstraint(["site_id"], ["site.site_id"], name=op.f("fk_service_site_id_site")),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_service")),
        **TABLE_OPTIONS,
    )
    op.add_column("process", sa.Column("origin_pid", sa.BigInteger(), nullable=True))
    op.add_column("image", sa.Column("deleted_at", UtcDateTime, nullable=True))
    op.create_index("ix_process_ready", "process", ["status", "pending", "site_id", "group_id", "priority", "pid"])
    op.drop_index("ix_process_status_pending_priority_pid", table_name="process")


def downgrade() -> None:
    op.create_index("ix_process_status_pending_priority_pid", "process", ["status", "pending", "priority", "pid"])
    op.drop_index("ix_process_ready", table_name="process")
    op.drop_column("image", "deleted_at")
    op.drop_column("process", "origin_pid")
    op.drop_table("service")
    op.drop_table("paused_group")
