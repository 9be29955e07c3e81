"""Alerts of candidates, each told once"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import mysql

revision = "0021"
down_revision = "0020"
branch_labels = None
depends_on = None
older_may_run = True

TIME = sa.DateTime().with_variant(mysql.DATETIME(fsp=6), "mysql", "mariadb")


def upgrade() -> None:
    op.create_table(
        "alert",
        sa.Column("observation_id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("source_id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("found_at", TIME, nullable=False),
        sa.Column("body", sa.Text(), nullable=False),
        sa.Column("sent_at", TIME, nullable=True),
        sa.Column("refusal", sa.Text(), nullable=True),
        sa.ForeignKeyConstraint(
            ["observation_id"], ["observation.observation_id"], name=op.f("fk_alert_observation_id_observation")
        ),
        sa.ForeignKeyConstraint(["source_id"], ["source.source_id"], name=op.f("fk_alert_source_id_source")),
        sa.PrimaryKeyConstraint("observation_id", "source_id", name=op.f("pk_alert")),
        mysql_engine="InnoDB",
        mysql_charset="utf8mb4",
        mysql_collate="utf8mb4_bin",
        mariadb_engine="InnoDB",
        mariadb_charset="utf8mb4",
        mariadb_collate="utf8mb4_bin",
    )


def downgrade() -> None:
    op.drop_table("alert")
