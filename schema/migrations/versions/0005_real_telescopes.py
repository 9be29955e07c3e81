"""What the frames of real telescopes need"""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None
older_may_run = True

# Columns that may be NULL, by table.
REAL = {
    "aperture": ("fwhm",),
    "variability": ("sine_period_error_d", "night_trend"),
    "image": ("gain_error",),
    "relative_calibration": ("error_scale",),
}


def upgrade() -> None:
    for table, names in REAL.items():
        for name in names:
            op.add_column(table, sa.Column(name, sa.Double(), nullable=True))
    op.add_column("relative_calibration", sa.Column("error_source", sa.String(16), nullable=True))
    op.add_column("source", sa.Column("same_as", sa.Integer(), nullable=True))
    op.create_index(op.f("ix_source_same_as"), "source", ["same_as"])


def downgrade() -> None:
    op.drop_index(op.f("ix_source_same_as"), "source")
    op.drop_column("source", "same_as")
    op.drop_column("relative_calibration", "error_source")
    for table, names in REAL.items():
        for name in names:
            op.drop_column(table, name)
