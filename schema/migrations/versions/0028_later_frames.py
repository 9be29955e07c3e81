"""Frames that came after a relative calibration, and what is needed to divide them by its reference stars"""

import sqlalchemy as sa
from alembic import op

from schema.base import TABLE_OPTIONS

revision = "0028"
down_revision = "0027"
branch_labels = None
depends_on = None
older_may_run = True

OF_STAR = "level", "mean_level", "scatter", "error_factor"


def upgrade() -> None:
    op.create_table(
        "later_frame",
        sa.Column("calibration_pid", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("image_id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("pid", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("calibration_pid", "image_id", name=op.f("pk_later_frame")),
        **TABLE_OPTIONS,
    )
    for name in OF_STAR:
        op.add_column("reference_star", sa.Column(name, sa.Double(), nullable=True))
    op.add_column("relative_calibration", sa.Column("takes_later", sa.Boolean(), nullable=True))


def downgrade() -> None:
    op.drop_column("relative_calibration", "takes_later")
    for name in OF_STAR:
        op.drop_column("reference_star", name)
    op.drop_table("later_frame")
