"""Keys of what processes really read, which are known when they are claimed"""

import sqlalchemy as sa
from alembic import op

from schema.base import TABLE_OPTIONS

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None
older_may_run = True


def upgrade() -> None:
    op.create_table(
        "read_key",
        sa.Column("read_key", sa.String(length=64), nullable=False),
        sa.Column("pid", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("read_key", name=op.f("pk_read_key")),
        **TABLE_OPTIONS,
    )


def downgrade() -> None:
    op.drop_table("read_key")
