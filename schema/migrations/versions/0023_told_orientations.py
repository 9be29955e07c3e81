"""How the detector is turned on the sky, as somebody tells it"""

import sqlalchemy as sa
from alembic import op

revision = "0023"
down_revision = "0022"
branch_labels = None
depends_on = None
older_may_run = True


def upgrade() -> None:
    op.add_column("observation", sa.Column("position_angle_deg", sa.Double(), nullable=True))
    op.add_column("observation", sa.Column("mirrored", sa.Boolean(), nullable=True))


def downgrade() -> None:
    op.drop_column("observation", "mirrored")
    op.drop_column("observation", "position_angle_deg")
