"""What processes find of an image goes into rows of their own"""

from collections.abc import Mapping
from typing import Any

import sqlalchemy as sa
from alembic import op

from schema.base import MEASUREMENT_OPTIONS, TABLE_OPTIONS

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None
older_may_run = False

Type = sa.types.TypeEngine[Any]
REAL: Type = sa.Double()
INTEGER: Type = sa.Integer()
ALIGNMENT: Mapping[str, Type] = {
    "dx": REAL,
    "dy": REAL,
    "rotation_deg": REAL,
    "scale": REAL,
    "rms": REAL,
    "matches": INTEGER,
}
SIGHT = dict.fromkeys(
    (
        *("bjd_tdb", "hjd_utc", "jd_tdb", "observer_x", "observer_y", "observer_z"),
        *("airmass", "altitude_deg", "azimuth_deg"),
    ),
    REAL,
)
# Columns that may be NULL, of tables keyed by image and process.
FOUND: Mapping[str, Mapping[str, Type]] = {
    "alignment": {**ALIGNMENT, "light": REAL},
    "verdict": {"reason": sa.Text(), "transparency": REAL, "gain": REAL, "gain_error": REAL},
    "frame_sight": SIGHT,
    "masked_pixels": {},
}
# Those that may not.
ALWAYS: Mapping[str, Mapping[str, Type]] = {
    "verdict": {"good": sa.Boolean(), "weight": REAL},
    "masked_pixels": {"hot_pixels": INTEGER, "cosmic_rays": INTEGER},
}
# Columns of table image that went, and where their values are now.
GONE: Mapping[str, tuple[Type, str, str]] = {
    "align_pid": (sa.BigInteger(), "alignment", "pid"),
    "dx": (REAL, "alignment", "dx"),
    "dy": (REAL, "alignment", "dy"),
    "rotation_deg": (REAL, "alignment", "rotation_deg"),
    "scale": (REAL, "alignment", "scale"),
    "alignment_rms": (REAL, "alignment", "rms"),
    "alignment_matches": (INTEGER, "alignment", "matches"),
    "reference_pid": (sa.BigInteger(), "reference_frame", "pid"),
    "select_pid": (sa.BigInteger(), "verdict", "pid"),
    "transparency": (REAL, "verdict", "transparency"),
    "gain_error": (REAL, "verdict", "gain_error"),
}

# The light of an alignment may have any unit that its night shares: `select` took it relative to the clearest frames.
TO_ALIGNMENT = """
INSERT INTO alignment (image_id, pid, dx, dy, rotation_deg, scale, rms, matches, light)
SELECT image_id, align_pid, dx, dy, rotation_deg, scale, alignment_rms, alignment_matches, transparency
FROM image WHERE align_pid IS NOT NULL
"""
TO_VERDICT = """
INSERT INTO verdict (image_id, pid, good, reason, weight, transparency, gain, gain_error)
SELECT image_id, select_pid, good, reject_reason, COALESCE(weight, good), transparency,
       CASE WHEN gain_source = 'sky' THEN gain END, gain_error
FROM image WHERE pid IS NOT NULL AND select_pid IS NOT NULL AND good IS NOT NULL
"""
TO_REFERENCE = """
INSERT INTO reference_frame (pid, image_id) SELECT reference_pid, image_id FROM image WHERE reference_pid IS NOT NULL
"""
TO_REJECTION = """
INSERT INTO rejection (image_id, pid, reason)
SELECT image_id, select_pid, COALESCE(reject_reason, 'no reason given')
FROM image WHERE pid IS NULL AND select_pid IS NOT NULL AND good = 0
"""
# Where a frame's own times are not those of its headers' pointing they are of the solved field: by `extract` where the
# first `solve` had found it, else by `place_frames`. They stay in table image too, whose own nobody knows any more.
SOLVED_FIRST = """
IN (SELECT b.graph_pid FROM plate_solution s JOIN process b ON b.pid = s.pid WHERE b.command = 'solve' AND s.solved = 1)
"""
TO_SIGHT = f"""
INSERT INTO frame_sight (image_id, pid, {", ".join(SIGHT)})
SELECT i.image_id, MAX(c.pid), {", ".join(f"MAX(i.{name})" for name in SIGHT)}
FROM image i
JOIN image_parent p ON p.image_id = i.image_id
JOIN image r ON r.image_id = p.parent_id AND r.pid IS NULL AND (r.bjd_tdb IS NULL OR r.bjd_tdb <> i.bjd_tdb)
"""  # noqa: S608 - names of our own
OF_CALIBRATED = "WHERE i.kind = 'calibrated' AND i.bjd_tdb IS NOT NULL AND c.status = 'succeeded' AND c.command ="
BY_EXTRACT = f"""
{TO_SIGHT}
JOIN process_dependence d ON d.parent_pid = i.pid JOIN process c ON c.pid = d.child_pid
{OF_CALIBRATED} 'extract' AND i.graph_pid {SOLVED_FIRST} GROUP BY i.image_id
"""
BY_PLACING = f"""
{TO_SIGHT}
JOIN process c ON c.graph_pid = i.graph_pid
{OF_CALIBRATED} 'place_frames' AND i.graph_pid NOT {SOLVED_FIRST} GROUP BY i.image_id
"""
FORGET = (
    "UPDATE image SET gain = NULL, gain_source = 'unknown' WHERE gain_source = 'sky'",
    "UPDATE image SET weight = NULL WHERE select_pid IS NOT NULL",
    "UPDATE image SET good = NULL, reject_reason = NULL WHERE select_pid IS NOT NULL",
)


def upgrade() -> None:
    for table, columns in FOUND.items():
        op.create_table(
            table,
            sa.Column("image_id", sa.Integer(), autoincrement=False, nullable=False),
            sa.Column("pid", sa.BigInteger(), autoincrement=False, nullable=False),
            *(sa.Column(name, kind, nullable=False) for name, kind in ALWAYS.get(table, {}).items()),
            *(sa.Column(name, kind, nullable=True) for name, kind in columns.items()),
            sa.PrimaryKeyConstraint("image_id", "pid", name=op.f(f"pk_{table}")),
            **MEASUREMENT_OPTIONS,
        )
    op.create_table(
        "reference_frame",
        sa.Column("pid", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("image_id", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("pid", name=op.f("pk_reference_frame")),
        **TABLE_OPTIONS,
    )
    op.create_table(
        "rejection",
        sa.Column("rejection_id", sa.Integer(), nullable=False),
        sa.Column("image_id", sa.Integer(), nullable=False),
        sa.Column("pid", sa.BigInteger(), nullable=True),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("rejection_id", name=op.f("pk_rejection")),
        **TABLE_OPTIONS,
    )
    for table in ("reference_frame", "rejection"):
        op.create_index(op.f(f"ix_{table}_image_id"), table, ["image_id"])
    for statement in (TO_ALIGNMENT, TO_VERDICT, TO_REFERENCE, TO_REJECTION, BY_EXTRACT, BY_PLACING, *FORGET):
        op.execute(statement)
    for name in GONE:
        op.drop_column("image", name)


def _newest(table: str, column: str) -> str:
    """What the newest process found of an image."""
    newest = f"SELECT MAX(other.pid) FROM {table} other WHERE other.image_id = image.image_id"  # noqa: S608
    return f"(SELECT f.{column} FROM {table} f WHERE f.image_id = image.image_id AND f.pid = ({newest}))"  # noqa: S608


def _rejected(column: str) -> str:
    """What the last rejection of a frame says, unless it was taken back."""
    last = "SELECT MAX(other.rejection_id) FROM rejection other WHERE other.image_id = image.image_id"
    return f"(SELECT n.{column} FROM rejection n WHERE n.rejection_id = ({last}) AND n.reason IS NOT NULL)"  # noqa: S608


def _set(where: str, **values: str) -> None:
    told = ", ".join(f"{name} = {value}" for name, value in values.items())
    op.execute(f"UPDATE image SET {told} WHERE {where}")  # noqa: S608


def downgrade() -> None:
    for name, (kind, table, column) in GONE.items():
        op.add_column("image", sa.Column(name, kind, nullable=True))
        _set("kind = 'calibrated'", **{name: _newest(table, column)})
    judged = {"good": "good", "weight": "weight", "reject_reason": "reason"}
    _set("kind = 'calibrated'", **{name: _newest("verdict", column) for name, column in judged.items()})
    gain = _newest("verdict", "gain")
    _set(f"kind = 'calibrated' AND gain IS NULL AND {gain} IS NOT NULL", gain=gain, gain_source="'sky'")
    seen = {name: f"COALESCE({_newest('frame_sight', name)}, {name})" for name in SIGHT}
    _set("kind = 'calibrated'", **seen)
    refused = f"pid IS NULL AND good IS NULL AND {_rejected('reason')} IS NOT NULL"
    _set(refused, reject_reason=_rejected("reason"), select_pid=_rejected("pid"), good="0")
    for table in ("rejection", "reference_frame", *FOUND):
        op.drop_table(table)
