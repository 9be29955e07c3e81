"""Which process took a frame of the camera"""

import sqlalchemy as sa
from alembic import op

revision = "0024"
down_revision = "0023"
branch_labels = None
depends_on = None
older_may_run = True


def upgrade() -> None:
    op.create_table(
        "captured_frame",
        sa.Column("image_id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("pid", sa.BigInteger(), nullable=False),
        sa.Column("header_digest", sa.String(length=32), nullable=False),
        sa.ForeignKeyConstraint(["image_id"], ["image.image_id"], name=op.f("fk_captured_frame_image_id_image")),
        sa.PrimaryKeyConstraint("image_id", name=op.f("pk_captured_frame")),
        sa.UniqueConstraint("pid", name=op.f("uq_captured_frame_pid")),
        mysql_engine="InnoDB",
        mysql_charset="utf8mb4",
        mysql_collate="utf8mb4_bin",
        mariadb_engine="InnoDB",
        mariadb_charset="utf8mb4",
        mariadb_collate="utf8mb4_bin",
    )


def downgrade() -> None:
    op.drop_table("captured_frame")
