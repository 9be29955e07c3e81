"""Images that go from one site to another"""

import sqlalchemy as sa
from alembic import op

revision = "0026"
down_revision = "0025"
branch_labels = None
depends_on = None
older_may_run = True


def upgrade() -> None:
    op.create_table(
        "package",
        sa.Column("image_id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("sha256", sa.String(64), nullable=False),
        sa.Column("content_sha256", sa.String(64), nullable=False),
        sa.Column("content_bytes", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("image_id", name=op.f("pk_package")),
        mysql_engine="InnoDB",
        mysql_charset="utf8mb4",
        mysql_collate="utf8mb4_bin",
        mariadb_engine="InnoDB",
        mariadb_charset="utf8mb4",
        mariadb_collate="utf8mb4_bin",
    )
    op.create_table(
        "wcs_claim",
        sa.Column("image_id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("pid", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("wcs", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("image_id", "pid", name=op.f("pk_wcs_claim")),
        mysql_engine="InnoDB",
        mysql_charset="utf8mb4",
        mysql_collate="utf8mb4_bin",
        mariadb_engine="InnoDB",
        mariadb_charset="utf8mb4",
        mariadb_collate="utf8mb4_bin",
    )


def downgrade() -> None:
    op.drop_table("wcs_claim")
    op.drop_table("package")
