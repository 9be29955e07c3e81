"""A process says which choices of the operator it goes by"""

import json

import sqlalchemy as sa
from alembic import op

from schema.base import TABLE_OPTIONS

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None
older_may_run = False

SOLVERS = ("solve", "solve_index", "solve_archive")


def upgrade() -> None:
    op.create_table(
        "published_choices",
        sa.Column("choices_id", sa.Integer(), nullable=False),
        sa.Column("digest", sa.String(length=64), nullable=False),
        sa.Column("version", sa.String(length=32), nullable=False),
        sa.Column("choices", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("choices_id", name=op.f("pk_published_choices")),
        sa.UniqueConstraint("digest", name=op.f("uq_published_choices_digest")),
        **TABLE_OPTIONS,
    )
    op.add_column("process", sa.Column("choices_id", sa.Integer(), nullable=True))
    _drop_pointing()


def _drop_pointing() -> None:
    """Where the telescope pointed stood among the parameters of those that solve: it is a choice now."""
    process = sa.table("process", sa.column("pid", sa.BigInteger), sa.column("command"), sa.column("parameters"))
    connection = op.get_bind()
    found = connection.execute(
        sa.select(process.c.pid, process.c.parameters).where(
            process.c.command.in_(SOLVERS), process.c.parameters.contains('"radec"')
        )
    ).all()
    for pid, parameters in found:
        kept = {name: value for name, value in json.loads(parameters).items() if name != "radec"}
        connection.execute(
            process.update().where(process.c.pid == pid).values(parameters=json.dumps(kept, separators=(",", ":")))
        )


def downgrade() -> None:
    op.drop_column("process", "choices_id")
    op.drop_table("published_choices")
