"""Which manager is active stands in a row, where readers cannot take its place"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import mysql

from schema.base import TABLE_OPTIONS

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None
older_may_run = False  # two managers would lead

TIME = sa.DateTime().with_variant(mysql.DATETIME(fsp=6), "mysql", "mariadb")


def upgrade() -> None:
    op.create_table(
        "leader",
        sa.Column("leader_id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("term", sa.BigInteger(), nullable=False),
        sa.Column("lock_name", sa.String(length=64), nullable=False),
        sa.Column("connection_id", sa.BigInteger(), nullable=False),
        sa.Column("host", sa.String(length=128), nullable=False),
        sa.Column("since", TIME, nullable=False),
        sa.PrimaryKeyConstraint("leader_id", name=op.f("pk_leader")),
        **TABLE_OPTIONS,
    )


def downgrade() -> None:
    op.drop_table("leader")
