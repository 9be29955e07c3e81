"""Queues that take no messages, and their dead letters"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import mysql

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None
older_may_run = True

TIME = sa.DateTime().with_variant(mysql.DATETIME(fsp=6), "mysql", "mariadb")


def upgrade() -> None:
    op.create_table(
        "queue_state",
        sa.Column("site_id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("group_id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("silent_since", TIME, nullable=True),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.Column("dead_letters", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(
            ["group_id"], ["process_group.group_id"], name=op.f("fk_queue_state_group_id_process_group")
        ),
        sa.ForeignKeyConstraint(["site_id"], ["site.site_id"], name=op.f("fk_queue_state_site_id_site")),
        sa.PrimaryKeyConstraint("site_id", "group_id", name=op.f("pk_queue_state")),
    )


def downgrade() -> None:
    op.drop_table("queue_state")
