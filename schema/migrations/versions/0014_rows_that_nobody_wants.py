"""What `tianyu gc --rows` has still to remove"""

import sqlalchemy as sa
from alembic import op

from schema.base import TABLE_OPTIONS

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None
older_may_run = True


def upgrade() -> None:
    op.create_table(
        "unwanted_rows",
        sa.Column("graph_pid", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("pid", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.PrimaryKeyConstraint("graph_pid", "pid", name=op.f("pk_unwanted_rows")),
        **TABLE_OPTIONS,
    )


def downgrade() -> None:
    op.drop_table("unwanted_rows")
