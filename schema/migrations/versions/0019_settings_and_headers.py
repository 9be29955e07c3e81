"""Observations apart by the detector's settings and by what was taken off before; frames know their headers again"""

import sqlalchemy as sa
from alembic import op

revision = "0019"
down_revision = "0018"
branch_labels = None
depends_on = None
older_may_run = False

SAME = ("target_id", "filter_id", "instrument_id", "exposure_s", "binning", "night", "site_id")
APART = {"setting": 64, "reduced": 3}  # characters


# The name by all columns would be longer than MySQL's 64 characters.
NEW, OLD = "uq_observation_same", f"uq_observation_{'_'.join(SAME)}"


def upgrade() -> None:
    op.add_column("image", sa.Column("header_digest", sa.String(length=32), nullable=True))
    op.add_column("image", sa.Column("temperature_c", sa.Double(), nullable=True))
    for name, length in APART.items():
        op.add_column("observation", sa.Column(name, sa.String(length=length), nullable=False, server_default=""))
    with op.batch_alter_table("observation") as table:  # the default is for the rows of before
        for name, length in APART.items():
            table.alter_column(
                name, existing_type=sa.String(length=length), existing_nullable=False, server_default=None
            )
    _unique(NEW, (*SAME, *APART), OLD)


def downgrade() -> None:
    _unique(OLD, SAME, NEW)
    op.drop_column("observation", "reduced")
    op.drop_column("observation", "setting")
    op.drop_column("image", "temperature_c")
    op.drop_column("image", "header_digest")


def _unique(new: str, columns: tuple[str, ...], old: str) -> None:
    with op.batch_alter_table("observation") as table:
        # The new one first: MySQL keeps an index that begins with target_id for its foreign key.
        table.create_unique_constraint(op.f(new), list(columns))
        table.drop_constraint(op.f(old), type_="unique")
