"""Frames are read out of their files by a geometry of their own, by which observations are apart too"""

import sqlalchemy as sa
from alembic import op

revision = "0020"
down_revision = "0019"
branch_labels = None
depends_on = None
older_may_run = False

SAME = ("target_id", "filter_id", "instrument_id", "exposure_s", "binning", "night", "site_id", "setting", "reduced")
NAME, FORMER = "uq_observation_same", "uq_observation_same_before"
FILE = ("file_x", "file_y", "file_step")  # where the frame lies in its file
LENGTH = 64  # characters


def upgrade() -> None:
    op.add_column("image", sa.Column("geometry", sa.Text(), nullable=True))
    for name in FILE:
        op.add_column("image", sa.Column(name, sa.Double(), nullable=True))
    column = sa.String(length=LENGTH)
    op.add_column("observation", sa.Column("geometry", column, nullable=False, server_default=""))
    with op.batch_alter_table("observation") as table:  # the default is for the rows of before
        table.alter_column("geometry", existing_type=column, existing_nullable=False, server_default=None)
    _unique((*SAME, "geometry"))


def downgrade() -> None:
    _unique(SAME)
    op.drop_column("observation", "geometry")
    for name in ("geometry", *FILE):
        op.drop_column("image", name)


def _unique(columns: tuple[str, ...]) -> None:
    """In place of that of the same name; another stands meanwhile, for MySQL keeps an index for its foreign keys."""
    for created, dropped in (((FORMER, SAME), NAME), ((NAME, columns), FORMER)):
        with op.batch_alter_table("observation") as table:
            table.create_unique_constraint(op.f(created[0]), list(created[1]))
            table.drop_constraint(op.f(dropped), type_="unique")
