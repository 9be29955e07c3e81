"""Fluxes at places where nothing was found, and longer lists of choices"""

import sqlalchemy as sa
from alembic import op

from schema.base import MEASUREMENT_OPTIONS, TABLE_OPTIONS, LongText

revision = "0031"
down_revision = "0030"
branch_labels = None
depends_on = None
older_may_run = True

KEY = ("placed_pid", "place", "image_id", "aperture", "pid")


def _key() -> list[sa.Column[int]]:
    kinds = (sa.BigInteger(), sa.SmallInteger(), sa.Integer(), sa.SmallInteger(), sa.BigInteger())
    return [sa.Column(name, kind, autoincrement=False, nullable=False) for name, kind in zip(KEY, kinds, strict=True)]


def _choices(was: sa.types.TypeEngine[str], becomes: sa.types.TypeEngine[str]) -> None:
    if op.get_bind().dialect.name != "sqlite":  # whose texts have no length
        op.alter_column("published_choices", "choices", type_=becomes, existing_type=was, existing_nullable=False)


def upgrade() -> None:
    op.create_table(
        "forced_place",
        sa.Column("pid", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("place", sa.SmallInteger(), autoincrement=False, nullable=False),
        sa.Column("observation_id", sa.Integer(), nullable=False),
        sa.Column("graph_pid", sa.BigInteger(), nullable=False),
        sa.Column("name", sa.String(128), nullable=False),
        *(sa.Column(name, sa.Double(), nullable=False) for name in ("ra_deg", "dec_deg")),
        *(sa.Column(name, sa.Double(), nullable=True) for name in ("x", "y", "u", "v")),
        sa.Column("inside", sa.Boolean(), nullable=False),
        sa.Column("nearest_source_id", sa.Integer(), nullable=True),
        sa.Column("nearest_arcsec", sa.Double(), nullable=True),
        sa.Column("is_source", sa.Boolean(), nullable=False),
        sa.PrimaryKeyConstraint("pid", "place", name=op.f("pk_forced_place")),
        **TABLE_OPTIONS,
    )
    op.create_index(op.f("ix_forced_place_observation_id"), "forced_place", ["observation_id"])
    op.create_table(
        "forced_flux",
        *_key(),
        sa.Column("flux", sa.Double(), nullable=True),
        sa.Column("flux_error", sa.Double(), nullable=True),
        sa.Column("flag", sa.SmallInteger(), nullable=False),
        sa.PrimaryKeyConstraint(*KEY, name=op.f("pk_forced_flux")),
        **MEASUREMENT_OPTIONS,
    )
    op.create_table(
        "forced_term",
        *_key(),
        *(sa.Column(name, sa.Double(), nullable=False) for name in ("term", "term_error", "error_factor")),
        sa.PrimaryKeyConstraint(*KEY, name=op.f("pk_forced_term")),
        **MEASUREMENT_OPTIONS,
    )
    _choices(sa.Text(), LongText)


def downgrade() -> None:
    _choices(LongText, sa.Text())
    for name in ("forced_term", "forced_flux", "forced_place"):
        op.drop_table(name)
