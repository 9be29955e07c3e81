"""What turns fluxes into standard magnitudes, and which stars have a colour of their own"""

import sqlalchemy as sa
from alembic import op

from schema.base import MEASUREMENT_OPTIONS, TABLE_OPTIONS

revision = "0030"
down_revision = "0029"
branch_labels = None
depends_on = None
older_may_run = True

OF_TRANSFORMATION = ("colour_term", "colour_term_error", "colour_reference", "colour_low", "colour_high")
OF_POINT = ("zero_point", "zero_point_error", "field_u", "field_v", "field_uu", "field_uv", "field_vv", "scatter")


def upgrade() -> None:
    op.create_table(
        "standard_transformation",
        sa.Column("pid", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("aperture", sa.SmallInteger(), autoincrement=False, nullable=False),
        sa.Column("observation_id", sa.Integer(), nullable=False),
        sa.Column("band", sa.String(8), nullable=False),
        sa.Column("origin", sa.String(16), nullable=False),
        *(sa.Column(name, sa.Double(), nullable=False) for name in OF_TRANSFORMATION),
        sa.Column("systematic", sa.Double(), nullable=True),
        sa.Column("scatter", sa.Double(), nullable=False),
        sa.Column("stars", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("pid", "aperture", name=op.f("pk_standard_transformation")),
        **TABLE_OPTIONS,
    )
    op.create_table(
        "standard_zero_point",
        sa.Column("pid", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("image_id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("aperture", sa.SmallInteger(), autoincrement=False, nullable=False),
        *(sa.Column(name, sa.Double(), nullable=False) for name in OF_POINT),
        sa.Column("stars", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("pid", "image_id", "aperture", name=op.f("pk_standard_zero_point")),
        **MEASUREMENT_OPTIONS,
    )
    op.add_column("zero_point_star", sa.Column("colour_known", sa.Boolean(), nullable=True))


def downgrade() -> None:
    op.drop_column("zero_point_star", "colour_known")
    op.drop_table("standard_zero_point")
    op.drop_table("standard_transformation")
