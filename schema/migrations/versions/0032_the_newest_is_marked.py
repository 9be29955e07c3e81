"""What the newest process found of an image is marked, of which there is one"""

import sqlalchemy as sa
from alembic import op

revision = "0032"
down_revision = "0031"
branch_labels = None
depends_on = None
older_may_run = False  # a second row without taking the mark from the first is refused

FOUND = ("alignment", "verdict", "frame_sight", "masked_pixels")
# A server changes no table that the same statement looks at otherwise, and knows of no `UPDATE … FROM`.
ON_SERVERS = """UPDATE {0} JOIN (SELECT image_id, MAX(pid) AS pid FROM {0} GROUP BY image_id) AS newest
ON newest.image_id = {0}.image_id SET is_newest = NULL WHERE {0}.pid < newest.pid"""
ON_SQLITE = """UPDATE {0} SET is_newest = NULL
WHERE pid < (SELECT MAX(o.pid) FROM {0} o WHERE o.image_id = {0}.image_id)"""


def upgrade() -> None:
    outdate = ON_SQLITE if op.get_bind().dialect.name == "sqlite" else ON_SERVERS
    for table in FOUND:
        op.add_column(table, sa.Column("is_newest", sa.Boolean(), server_default=sa.text("1"), nullable=True))
        op.execute(outdate.format(table))
        op.create_index(op.f(f"ix_{table}_is_newest_image_id"), table, ["is_newest", "image_id"], unique=True)


def downgrade() -> None:
    for table in FOUND:
        op.drop_index(op.f(f"ix_{table}_is_newest_image_id"), table_name=table)
        op.drop_column(table, "is_newest")
