"""Upgrades and backups tell the programs that run beside them, and services tell which schema they know"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import mysql

from schema.base import TABLE_OPTIONS

revision = "0025"
down_revision = "0024"
branch_labels = None
depends_on = None
older_may_run = True

TIME = sa.DateTime().with_variant(mysql.DATETIME(fsp=6), "mysql", "mariadb")


def upgrade() -> None:
    upkeep = op.create_table(
        "upkeep",
        sa.Column("upkeep_id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("oldest_revision", sa.String(length=32), nullable=False),
        sa.Column("images_held_by", sa.String(length=128), nullable=True),
        sa.Column("images_held_since", TIME, nullable=True),
        sa.Column("images_held_until", TIME, nullable=True),
        sa.PrimaryKeyConstraint("upkeep_id", name=op.f("pk_upkeep")),
        **TABLE_OPTIONS,
    )
    op.bulk_insert(upkeep, [{"upkeep_id": 1, "oldest_revision": revision}])
    op.add_column("service", sa.Column("revision", sa.String(length=32), nullable=True))


def downgrade() -> None:
    op.drop_column("service", "revision")
    op.drop_table("upkeep")
