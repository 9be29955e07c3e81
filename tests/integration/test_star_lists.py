"""`tianyu lightcurve` of many stars: one table or a file each, and a word on each star."""

import json
from pathlib import Path

import numpy as np
import pytest
from astropy.table import Table
from pyarrow import parquet
from sqlalchemy.orm import Session

from services.results.targets import named_object, remember
from tests.integration.command_line import tianyu
from tests.unit.services.conftest import open_session
from tests.unit.services.made_up import MadeUp, add_light_curves, add_observation, give_place

RA, DEC, STEP = 31.04, 46.68, 0.01


@pytest.fixture
def made(each_ready_url: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> MadeUp:
    """A made-up night, in the working folder of the command."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TIANYU_DATABASE_URL", each_ready_url)
    monkeypatch.setenv("TIANYU_ROOT", str(tmp_path / "root"))
    monkeypatch.setenv("TIANYU_CATALOG", "none")
    sessions = open_session(each_ready_url)
    session: Session = next(sessions)
    found = add_light_curves(session, add_observation(session), np.random.default_rng(7), n_stars=8, n_frames=24)
    for number, source_id in enumerate(found.source_ids.tolist()):
        give_place(session, source_id, (RA + number * STEP, DEC))
    remember(session, named_object("HAT-P-32", (RA + STEP, DEC)))
    session.commit()
    next(sessions, None)
    return found


def test_a_list_becomes_a_table_in_each_format_and_a_word_on_each_star(made: MadeUp) -> None:
    Path("list.csv").write_text(f"HAT-P-32\n{RA},{DEC}\n10,20\nnobody\n{made.source_ids[4]}\n")
    sizes = {}
    formats = {"csv": "csv", "ecsv": "ecsv", "fits": "fits", "votable": "vot", "parquet": "pq"}
    for format_name, suffix in formats.items():
        file = Path(f"all.{suffix}")
        result = tianyu("lightcurve", "--targets", "list.csv", "--format", format_name, "--output", str(file))
        assert result.exit_code == 0, result.output
        assert "3 of 5 stars have light curves, 72 points; 2 not found, 0 ambiguous" in " ".join(result.output.split())
        assert "nobody: not found" in result.output
        reader = "ascii.csv" if suffix == "csv" else None
        found = parquet.read_table(file) if suffix == "pq" else Table.read(file, format=reader)
        names = found.column_names if suffix == "pq" else found.colnames
        assert names[0] == "target"
        sizes[suffix] = len(found)
        targets = Table.read("all.targets.csv", format="ascii.csv")
        assert targets["status"].tolist() == ["found", "found", "not found", "not found", "found"]
        assert targets["points"].tolist() == [24, 24, 0, 0, 24]
    assert set(sizes.values()) == {72}


def test_a_file_a_star_has_its_points_alone(made: MadeUp) -> None:
    words = [word for one in made.source_ids[:3].tolist() for word in ("--source", str(one))]
    result = tianyu("lightcurve", *words, "--target", "../../HAT-P-32/x", "--target", "hat-p-32", "--folder", "curves")
    assert result.exit_code == 0, result.output
    files = sorted(path.name for path in Path("curves").iterdir())
    first, second, third = made.source_ids[:3].tolist()
    assert files == ["0002_hat-p-32.csv", f"0003_{first}.csv", f"0004_{second}.csv", f"0005_{third}.csv", "targets.csv"]
    table = Table.read(f"curves/0003_{first}.csv", format="ascii.csv")
    assert set(table["source_id"]) == {first}
    assert len(table) == 24


def test_several_sources_are_all_told_and_as_json(made: MadeUp) -> None:
    stars = made.source_ids[:2].tolist()
    words = ("lightcurve", "--source", str(stars[0]), "--source", str(stars[1]), "--json")
    answer = json.loads(tianyu(*words).stdout)
    assert [one["target"] for one in answer["targets"]] == list(map(str, stars))
    assert [one["points"][0]["source_id"] for one in answer["light_curves"]] == stars
    lines = tianyu(*words[:-1]).stdout.splitlines()
    assert len(lines) == 1 + 2 * 24


def test_what_cannot_be_is_refused_before_any_work(made: MadeUp) -> None:
    two = ("--source", "1", "--source", "2")
    for words, says in (
        (("lightcurve", *two, "--plot", "x.png"), "--plot draws one star"),
        (("lightcurve", *two, "--format", "aavso", "--output", "x.txt"), "holds one star of one observation"),
        (("lightcurve", "--targets", "none.csv"), "cannot be read"),
        (("lightcurve", "--folder", "x"), "a star is chosen by"),
        (("lightcurve", *two, "--observation", "99"), "99"),
        (("lightcurve", "--targets", "hostile.csv"), "none of the 1 stars has light curves"),
        (("plot", "1", *two), "give one of them"),
        (("lightcurve", "--target", "10,20", "--target", "11,20"), "none of the 2 stars has light curves"),
    ):
        Path("hostile.csv").write_text("1,2,'; DROP TABLE flux\n")
        result = tianyu(*words)
        assert result.exit_code != 0
        assert says in " ".join(result.output.split())
        assert "Traceback" not in result.output
