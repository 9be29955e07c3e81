"""What retention by policy has removed, call by call"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import mysql

from schema.base import TABLE_OPTIONS

revision = "0027"
down_revision = "0026"
branch_labels = None
depends_on = None
older_may_run = True

TIME = sa.DateTime().with_variant(mysql.DATETIME(fsp=6), "mysql", "mariadb")


def upgrade() -> None:
    op.create_table(
        "retention_run",
        sa.Column("run_id", sa.Integer(), nullable=False),
        sa.Column("site_id", sa.Integer(), nullable=True),
        sa.Column("host", sa.String(length=128), nullable=False),
        sa.Column("started_at", TIME, nullable=False),
        sa.Column("finished_at", TIME, nullable=False),
        sa.Column("files", sa.Integer(), nullable=False),
        sa.Column("size_bytes", sa.BigInteger(), nullable=False),
        sa.Column("deleted_rows", sa.BigInteger(), nullable=False),
        sa.Column("deleted_attempts", sa.Integer(), nullable=False),
        sa.Column("failures", sa.Text(), nullable=True),
        sa.ForeignKeyConstraint(["site_id"], ["site.site_id"], name=op.f("fk_retention_run_site_id_site")),
        sa.PrimaryKeyConstraint("run_id", name=op.f("pk_retention_run")),
        **TABLE_OPTIONS,
    )


def downgrade() -> None:
    op.drop_table("retention_run")
