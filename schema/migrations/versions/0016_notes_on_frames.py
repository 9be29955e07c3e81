"""What ingest found doubtful of a frame, and how it was decided"""

import sqlalchemy as sa
from alembic import op

revision = "0016"
down_revision = "0015"
branch_labels = None
depends_on = None
older_may_run = True


def upgrade() -> None:
    op.create_table(
        "frame_note",
        sa.Column("image_id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("number", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("note", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["image_id"], ["image.image_id"], name=op.f("fk_frame_note_image_id_image")),
        sa.PrimaryKeyConstraint("image_id", "number", name=op.f("pk_frame_note")),
    )


def downgrade() -> None:
    op.drop_table("frame_note")
