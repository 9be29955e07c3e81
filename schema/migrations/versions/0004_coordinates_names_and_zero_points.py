"""Coordinates, names and zero points: plate solutions, skies that many nights share, Gaia's magnitudes"""

from collections.abc import Iterator
from typing import Any

import sqlalchemy as sa
from alembic import op

from schema.base import MEASUREMENT_OPTIONS, TABLE_OPTIONS, UtcDateTime

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None
older_may_run = True

# Columns that may be NULL, by table.
REAL = {
    "sky": ("radius_deg", "wcs_rms_arcsec"),
    "source_crossmatch": ("ra_deg", "dec_deg"),
    "image": ("hjd_utc", "jd_tdb", "observer_x", "observer_y", "observer_z"),
    "observation": ("ra_deg", "dec_deg", "pixel_scale_arcsec"),
}
OTHER = {
    "sky": (("wcs_matches", sa.Integer()), ("solve_pid", sa.BigInteger())),
    "source": (("healpix", sa.Integer()),),
    "variability": (("leading_test", sa.String(length=24)), ("suspicion", sa.Integer())),
    "observation": (("zero_point_pid", sa.BigInteger()),),
}
FIT = ("zero_point", "zero_point_error", "colour_term", "colour_reference")
FIELD = ("field_u", "field_v", "field_uu", "field_uv", "field_vv")
REGISTRY_ID = 1


def _columns() -> Iterator[tuple[str, str, Any]]:
    """Table, name and type of each new column."""
    yield from ((table, name, sa.Double()) for table, names in REAL.items() for name in names)
    yield from ((table, name, kind) for table, pairs in OTHER.items() for name, kind in pairs)


def upgrade() -> None:
    for table, name, kind in _columns():
        op.add_column(table, sa.Column(name, kind, nullable=True))
    op.add_column("source_crossmatch", sa.Column("is_match", sa.Boolean(), nullable=True))
    op.create_index(op.f("ix_source_healpix"), "source", ["healpix"])
    registry = op.create_table(
        "sky_registry",
        sa.Column("registry_id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("registrations", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("registry_id", name=op.f("pk_sky_registry")),
        **TABLE_OPTIONS,
    )
    op.bulk_insert(registry, [{"registry_id": REGISTRY_ID, "registrations": 0}])
    op.create_table(
        "plate_solution",
        sa.Column("pid", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("image_id", sa.Integer(), nullable=False),
        sa.Column("observation_id", sa.Integer(), nullable=True),
        sa.Column("solved", sa.Boolean(), nullable=False),
        sa.Column("solver", sa.String(length=16), nullable=True),
        sa.Column("reason", sa.Text(), nullable=True),
        *(sa.Column(name, sa.Double(), nullable=True) for name in ("ra_deg", "dec_deg", "radius_deg")),
        sa.Column("pixel_scale_arcsec", sa.Double(), nullable=True),
        sa.Column("position_angle_deg", sa.Double(), nullable=True),
        sa.Column("mirrored", sa.Boolean(), nullable=True),
        sa.Column("sip_degree", sa.SmallInteger(), nullable=True),
        sa.Column("matches", sa.Integer(), nullable=True),
        sa.Column("rms_arcsec", sa.Double(), nullable=True),
        sa.Column("wcs", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("pid", name=op.f("pk_plate_solution")),
        **TABLE_OPTIONS,
    )
    op.create_index(op.f("ix_plate_solution_image_id"), "plate_solution", ["image_id"])
    op.create_table(
        "named_object",
        sa.Column("name", sa.String(length=128), nullable=False),
        sa.Column("shown_name", sa.String(length=128), nullable=False),
        sa.Column("ra_deg", sa.Double(), nullable=False),
        sa.Column("dec_deg", sa.Double(), nullable=False),
        sa.Column("pm_ra_mas", sa.Double(), nullable=True),
        sa.Column("pm_dec_mas", sa.Double(), nullable=True),
        sa.Column("origin", sa.String(length=16), nullable=False),
        sa.Column("created_at", UtcDateTime, nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_named_object")),
        **TABLE_OPTIONS,
    )
    op.create_table(
        "zero_point",
        sa.Column("pid", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("image_id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("aperture", sa.SmallInteger(), autoincrement=False, nullable=False),
        sa.Column("observation_id", sa.Integer(), nullable=False),
        *(sa.Column(name, sa.Double(), nullable=False) for name in (*FIT, *FIELD, "scatter")),
        sa.Column("stars", sa.Integer(), nullable=False),
        sa.Column("transparency", sa.Double(), nullable=True),
        sa.PrimaryKeyConstraint("pid", "image_id", "aperture", name=op.f("pk_zero_point")),
        **MEASUREMENT_OPTIONS,
    )
    op.create_table(
        "zero_point_star",
        sa.Column("pid", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("source_id", sa.Integer(), autoincrement=False, nullable=False),
        *(sa.Column(name, sa.Double(), nullable=False) for name in ("u", "v", "colour", "colour_error")),
        sa.Column("used", sa.Boolean(), nullable=False),
        sa.PrimaryKeyConstraint("pid", "source_id", name=op.f("pk_zero_point_star")),
        **MEASUREMENT_OPTIONS,
    )


def downgrade() -> None:
    for table in ("zero_point_star", "zero_point", "named_object", "plate_solution", "sky_registry"):
        op.drop_table(table)
    op.drop_index(op.f("ix_source_healpix"), "source")
    op.drop_column("source_crossmatch", "is_match")
    for table, name, _ in _columns():
        op.drop_column(table, name)
