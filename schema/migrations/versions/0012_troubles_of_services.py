"""What hinders a service, and since when"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import mysql

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None
older_may_run = True

TIME = sa.DateTime().with_variant(mysql.DATETIME(fsp=6), "mysql", "mariadb")
COLUMNS = ("trouble", "trouble_since", "trouble_until")


def upgrade() -> None:
    for name in COLUMNS:
        op.add_column("service", sa.Column(name, sa.Text() if name == "trouble" else TIME, nullable=True))


def downgrade() -> None:
    for name in reversed(COLUMNS):
        op.drop_column("service", name)
