"""A process has a key, which stands for its result, and a generation, by which people ask for it anew"""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None
older_may_run = True

INDEX = "ix_process_result_key"


def upgrade() -> None:
    op.add_column("process", sa.Column("generation", sa.SmallInteger(), nullable=False, server_default="0"))
    op.add_column("process", sa.Column("result_key", sa.String(length=64), nullable=True))
    op.create_index(INDEX, "process", ["result_key"])


def downgrade() -> None:
    op.drop_index(INDEX, "process")
    op.drop_column("process", "result_key")
    op.drop_column("process", "generation")
