"""Parameters that name each frame of a long night: 65,535 bytes were 3,200 PIDs"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import mysql

revision = "0017"
down_revision = "0016"
branch_labels = None
depends_on = None
older_may_run = True

LONG = sa.Text().with_variant(mysql.MEDIUMTEXT(), "mysql", "mariadb")


def upgrade() -> None:
    if op.get_bind().dialect.name != "sqlite":  # whose texts have no bound
        op.alter_column("process", "parameters", existing_type=sa.Text(), type_=LONG, existing_nullable=False)


def downgrade() -> None:
    if op.get_bind().dialect.name != "sqlite":
        op.alter_column("process", "parameters", existing_type=LONG, type_=sa.Text(), existing_nullable=False)
