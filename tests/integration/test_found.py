"""Rows are appended: no process of a night changes what another wrote, and each row is its finder's."""

from pathlib import Path
from typing import Any

from schema.found import OF_CALIBRATED
from tests.integration.small_night import FRAMES, Night, simulate_night

TABLES = ("image", "rejection", *(model.__tablename__ for model in OF_CALIBRATED))
FINDERS = {
    "alignment": {"align"},
    "verdict": {"select"},
    "reference_frame": {"choose_reference"},
    "masked_pixels": {"extract"},
    "rejection": {"select"},
}


def test_no_process_changes_what_another_wrote(tmp_path: Path) -> None:
    raw = simulate_night(tmp_path / "night")
    night = Night.open(tmp_path / "work")
    night.publish(raw)
    broken = sorted(raw.glob("*R_0*.fits"))[2]
    broken.write_bytes(broken.read_bytes()[:20_000])
    written: dict[str, set[Any]] = {table: set() for table in TABLES}

    def look(command: str) -> None:
        for table in TABLES:
            now = set(night.rows(f"SELECT * FROM {table}"))
            assert written[table] <= now, f"{command} changed table {table}"
            written[table] = now

    look("ingest")
    night.work(look)
    night.rerun("select")
    look("rerun")
    night.work(look)
    for table, finders in FINDERS.items():
        rows = night.rows(f"SELECT p.command FROM {table} t JOIN process p ON p.pid = t.pid")
        assert len(rows) == len(written[table]) > 0, table
        assert {command for (command,) in rows} == finders
    assert len(written["alignment"]) == len(written["verdict"]) == 2 * (FRAMES - 1)
