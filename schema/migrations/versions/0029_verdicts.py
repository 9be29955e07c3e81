"""What people say of candidates"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import mysql

from schema.base import TABLE_OPTIONS

revision = "0029"
down_revision = "0028"
branch_labels = None
depends_on = None
older_may_run = True

TIME = sa.DateTime().with_variant(mysql.DATETIME(fsp=6), "mysql", "mariadb")


def upgrade() -> None:
    op.create_table(
        "candidate_verdict",
        sa.Column("verdict_id", sa.Integer(), nullable=False),
        sa.Column("observation_id", sa.Integer(), nullable=False),
        sa.Column("source_id", sa.Integer(), nullable=False),
        sa.Column("verdict", sa.String(length=16), nullable=False),
        sa.Column("note", sa.Text(), nullable=True),
        sa.Column("author", sa.String(length=64), nullable=True),
        sa.Column("given_at", TIME, nullable=False),
        sa.ForeignKeyConstraint(
            ["observation_id"],
            ["observation.observation_id"],
            name=op.f("fk_candidate_verdict_observation_id_observation"),
        ),
        sa.ForeignKeyConstraint(
            ["source_id"], ["source.source_id"], name=op.f("fk_candidate_verdict_source_id_source")
        ),
        sa.PrimaryKeyConstraint("verdict_id", name=op.f("pk_candidate_verdict")),
        **TABLE_OPTIONS,
    )


def downgrade() -> None:
    op.drop_table("candidate_verdict")
