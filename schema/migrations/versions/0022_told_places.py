"""All places where headers say that the telescope pointed"""

import sqlalchemy as sa
from alembic import op

revision = "0022"
down_revision = "0021"
branch_labels = None
depends_on = None
older_may_run = True


def upgrade() -> None:
    op.create_table(
        "told_place",
        sa.Column("observation_id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("number", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("told_by", sa.String(length=64), nullable=False),
        sa.Column("ra_deg", sa.Double(), nullable=False),
        sa.Column("dec_deg", sa.Double(), nullable=False),
        sa.ForeignKeyConstraint(
            ["observation_id"], ["observation.observation_id"], name=op.f("fk_told_place_observation_id_observation")
        ),
        sa.PrimaryKeyConstraint("observation_id", "number", name=op.f("pk_told_place")),
    )


def downgrade() -> None:
    op.drop_table("told_place")
