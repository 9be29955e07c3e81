"""Photometry at the noise limit: noise and quality of images, kinds of apertures, predicted scatter, variability"""

from collections.abc import Iterator
from typing import Any

import sqlalchemy as sa
from alembic import op

from schema.base import MEASUREMENT_OPTIONS, TABLE_OPTIONS

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None
older_may_run = True

# Columns that may be NULL, by table.
REAL = {
    "image": (
        "dark_electrons",
        "flat_error",
        "linearity",
        "airmass",
        "altitude_deg",
        "azimuth_deg",
        "scintillation",
        "transparency",
    ),
    "instrument": ("diameter_m",),
    "source_position": ("semi_major", "semi_minor", "theta_deg", "kron_radius"),
    "aperture": ("factor",),
    "light_curve_statistics": (
        "expected_scatter",
        "noise_source",
        "noise_sky",
        "noise_read",
        "noise_dark",
        "noise_flat",
        "noise_scintillation",
        "noise_reference",
        "cdpp",
        "expected_cdpp",
    ),
}
INTEGER = {"image": ("hot_pixels", "cosmic_rays", "trails")}
OTHER = {
    "image": (("read_noise_source", sa.String(length=32)),),
    "observation": (("detrend_pid", sa.BigInteger()),),
    "reference_star": (("role", sa.String(length=16)),),
    "light_curve_statistics": (("best_snr", sa.Boolean()),),
}
VARIABILITY = (
    "false_alarm",
    "excess_scatter",
    "excess_significance",
    "stetson_j",
    "stetson_k",
    "von_neumann",
    "sine_period_d",
    "sine_amplitude",
    "sine_false_alarm",
    "box_period_d",
    "box_depth",
    "box_duration_d",
    "box_mid_bjd",
    "box_snr",
    "box_false_alarm",
)


def _columns() -> Iterator[tuple[str, str, Any]]:
    """Table, name and type of each new column."""
    yield from ((table, name, sa.Double()) for table, names in REAL.items() for name in names)
    yield from ((table, name, sa.Integer()) for table, names in INTEGER.items() for name in names)
    yield from ((table, name, kind) for table, pairs in OTHER.items() for name, kind in pairs)


def upgrade() -> None:
    for table, name, kind in _columns():
        op.add_column(table, sa.Column(name, kind, nullable=True))
    for name, default in (("kind", "circle"), ("sky", "annulus")):
        op.add_column("aperture", sa.Column(name, sa.String(length=8), server_default=default, nullable=False))
    op.create_table(
        "aperture_correction",
        sa.Column("image_id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("aperture", sa.SmallInteger(), autoincrement=False, nullable=False),
        sa.Column("correction", sa.Double(), nullable=False),
        sa.Column("correction_error", sa.Double(), nullable=True),
        sa.Column("stars", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("image_id", "aperture", name=op.f("pk_aperture_correction")),
        **MEASUREMENT_OPTIONS,
    )
    op.create_table(
        "relative_calibration",
        sa.Column("pid", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("aperture", sa.SmallInteger(), autoincrement=False, nullable=False),
        sa.Column("observation_id", sa.Integer(), nullable=False),
        sa.Column("method", sa.String(length=16), nullable=False),
        sa.Column("reference_stars", sa.Integer(), nullable=False),
        sa.Column("reference_groups", sa.Integer(), nullable=False),
        sa.Column("relaxation", sa.String(length=16), nullable=False),
        sa.PrimaryKeyConstraint("pid", "aperture", name=op.f("pk_relative_calibration")),
        **TABLE_OPTIONS,
    )
    op.create_table(
        "variability",
        sa.Column("pid", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("source_id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("observation_id", sa.Integer(), nullable=False),
        sa.Column("aperture", sa.SmallInteger(), nullable=False),
        sa.Column("variability_rank", sa.Integer(), nullable=False),
        sa.Column("candidate", sa.Boolean(), nullable=False),
        *(sa.Column(name, sa.Double(), nullable=True) for name in VARIABILITY),
        sa.PrimaryKeyConstraint("pid", "source_id", name=op.f("pk_variability")),
        **TABLE_OPTIONS,
    )
    op.create_index(op.f("ix_variability_source_id"), "variability", ["source_id"])


def downgrade() -> None:
    op.drop_table("variability")
    op.drop_table("relative_calibration")
    op.drop_table("aperture_correction")
    for name in ("sky", "kind"):
        op.drop_column("aperture", name)
    for table, name, _ in _columns():
        op.drop_column(table, name)
