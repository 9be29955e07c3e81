"""What the views were made by is remembered, and a view that is as it should be stays"""

import sqlalchemy as sa
from alembic import op

from schema.base import TABLE_OPTIONS

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None
older_may_run = True


def upgrade() -> None:
    op.create_table(
        "made_view",
        sa.Column("name", sa.String(length=64), nullable=False),
        sa.Column("digest", sa.String(length=32), nullable=False),
        sa.Column("server_digest", sa.String(length=32), nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_made_view")),
        **TABLE_OPTIONS,
    )


def downgrade() -> None:
    op.drop_table("made_view")
