"""An observation is of one site, where its frames and images lie"""

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0015"
down_revision = "0014"
branch_labels = None
depends_on = None
older_may_run = False

SAME = ("target_id", "filter_id", "instrument_id", "exposure_s", "binning", "night")
# Whose frames were registered first; without frames, whose processes.
OF_FRAMES = """
SELECT i.site_id FROM image i
WHERE i.image_id = (SELECT MIN(f.image_id) FROM image f WHERE f.observation_id = observation.observation_id)
"""
OF_PROCESSES = """
SELECT p.site_id FROM process p
WHERE p.pid = (SELECT MIN(q.pid) FROM process q WHERE q.observation_id = observation.observation_id)
"""
# Sites that joined the observation of another: a second one's frames of the same night.
JOINED = """
SELECT w.observation_id, w.site_id
FROM (SELECT observation_id, site_id FROM image UNION SELECT observation_id, site_id FROM process) w
JOIN observation o ON o.observation_id = w.observation_id AND o.site_id <> w.site_id
ORDER BY w.observation_id, w.site_id
"""
OF_GRAPHS = "graph_pid IN (SELECT p.graph_pid FROM process p WHERE p.observation_id = :new)"
OF_PIDS = "pid IN (SELECT p.pid FROM process p WHERE p.observation_id = :new)"
BY_PROCESS = ("plate_solution", "relative_calibration", "zero_point", "light_curve_statistics", "variability")
SHOWN = ("graph_pid", "calibration_pid", "analysis_pid", "detrend_pid", "zero_point_pid")
NEWEST = "SELECT MAX(p.graph_pid) FROM process p WHERE p.observation_id = observation.observation_id"


def upgrade() -> None:
    op.add_column("observation", sa.Column("site_id", sa.Integer(), nullable=True))
    op.execute(
        f"UPDATE observation SET site_id = COALESCE(({OF_FRAMES}), ({OF_PROCESSES}), (SELECT MIN(site_id) FROM site))"  # noqa: S608
    )
    with op.batch_alter_table("observation") as table:
        table.alter_column("site_id", existing_type=sa.Integer(), nullable=False)
        table.create_foreign_key(op.f("fk_observation_site_id_site"), "site", ["site_id"], ["site_id"])
        # The new one first: MySQL keeps an index that begins with target_id for its foreign key.
        table.create_unique_constraint(_unique(*SAME, "site_id"), [*SAME, "site_id"])
        table.drop_constraint(_unique(*SAME), type_="unique")
    connection = op.get_bind()
    for observation_id, site_id in connection.execute(sa.text(JOINED)).all():
        _part(connection, observation_id, site_id)


def _unique(*columns: str) -> Any:
    return op.f("_".join(("uq_observation", *columns)))


def _part(connection: sa.Connection, old: int, site_id: int) -> None:
    """Give a site that joined another's observation one of its own, with its frames, processes and results."""
    observation = sa.Table("observation", sa.MetaData(), autoload_with=connection, resolve_fks=False)
    columns = [column for column in observation.c if column.name not in ("observation_id", "site_id")]
    copied = sa.select(sa.literal(site_id), *columns).where(observation.c.observation_id == old)
    connection.execute(sa.insert(observation).from_select(["site_id", *(column.name for column in columns)], copied))
    values = {"old": old, "site": site_id}
    values["new"] = connection.execute(sa.select(sa.func.max(observation.c.observation_id))).scalar_one()

    def give(table: str, where: str) -> None:
        statement = f"UPDATE {table} SET observation_id = :new WHERE observation_id = :old AND {where}"  # noqa: S608
        connection.execute(sa.text(statement), values)

    give("image", "site_id = :site")
    give("process", "site_id = :site")
    give("aperture", OF_GRAPHS)
    for table in BY_PROCESS:
        give(table, OF_PIDS)
    # Each shows what its own site made.
    for shown in SHOWN:
        own = f"SELECT 1 FROM process p WHERE p.pid = observation.{shown} AND p.observation_id = observation.observation_id"  # noqa: S608, E501
        _show(connection, values, f"{shown} = NULL WHERE NOT EXISTS ({own})")
    _show(connection, values, f"graph_pid = ({NEWEST}) WHERE graph_pid IS NULL")


def _show(connection: sa.Connection, values: dict[str, Any], change: str) -> None:
    connection.execute(sa.text(f"UPDATE observation SET {change} AND observation_id IN (:old, :new)"), values)  # noqa: S608


def downgrade() -> None:
    with op.batch_alter_table("observation") as table:
        table.create_unique_constraint(_unique(*SAME), list(SAME))
        table.drop_constraint(_unique(*SAME, "site_id"), type_="unique")
        table.drop_constraint(op.f("fk_observation_site_id_site"), type_="foreignkey")
        table.drop_column("site_id")
