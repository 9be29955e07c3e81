"""One star on many nights: chosen by place, by name and by number, and read as one light curve."""

from datetime import date
from pathlib import Path

import numpy as np
import pytest
import typer
from astropy.table import Table
from sqlalchemy import event, text, update
from sqlalchemy.orm import Session
from typer.testing import CliRunner

from schema.frame import Frame
from schema.image import Image
from schema.observing import Observation
from schema.processes import Site
from schema.skies import Source
from services.cli.lightcurve_command import lightcurve as command
from services.cli.run_command import run as run_command
from services.cli.star_choice import target_source
from services.errors import ConfigurationError
from services.results.lightcurves.observation_facts import find_observation, observation_facts, without_copies
from services.results.lightcurves.selection import find_source
from services.results.lightcurves.sky_field import gaia_names, in_field, solved_field
from services.results.lightcurves.star_nights import read_nights, seen_as, seen_at
from services.results.positions import Position, parse_target
from services.results.targets import named_object, remember
from tests.unit.services import made_up
from tests.unit.services.made_up import GRAPH_PID, MadeUp
from tests.unit.services.made_wcs import made_wcs

SECOND, OTHER = GRAPH_PID + 10_000, GRAPH_PID + 20_000
WCS = made_wcs(30.0, scale=2.0, centre=(150.0, 100.0))  # around 31.0, 46.7: the same numbers are pixels of the template
GAIA = 2864243154873221479

app = typer.Typer()
app.command()(command)


@pytest.fixture
def session(session_of_settings: Session) -> Session:
    return session_of_settings


@pytest.fixture
def nights(session: Session) -> tuple[MadeUp, MadeUp]:
    """Two nights of one sky in two filters; on the second the camera had shifted by 20 pixels."""
    first = make(session, GRAPH_PID, "R", date(2024, 3, 4))
    second = make(session, SECOND, "V", date(2024, 3, 9), known=first)
    session.execute(update(Image).where(Image.graph_pid == SECOND).values(jd_utc=Image.jd_utc + 5.0))
    made_up.solve_field(session, first, WCS)
    made_up.name_in_gaia(session, first.variable, GAIA, 12.5)
    session.commit()
    return first, second


def test_frames_of_another_site_are_copies_by_their_times_alone(session: Session) -> None:
    """Two sites may call target and camera alike on one night, and times that nobody knows tell nothing."""
    session.add(Site(site_id=2, name="west", root="/elsewhere"))
    here = make(session, GRAPH_PID, "R", date(2024, 3, 4))
    there = make(session, OTHER, "R", date(2024, 3, 5), known=here)
    of_west = Observation.observation_id == there.observation_id
    session.execute(update(Observation).where(of_west).values(site_id=2, night=date(2024, 3, 4)))
    first, second = (observation_facts(session, one.observation_id) for one in (here, there))
    assert (first.target, first.instrument, first.night) == (second.target, second.instrument, second.night)
    assert without_copies(session, [first, second]) == ([first], [second])
    assert without_copies(session, [second, first]) == ([second], [first])
    session.execute(update(Image).where(Image.graph_pid == OTHER).values(jd_utc=Image.jd_utc + 0.01))
    assert without_copies(session, [first, second]) == ([first, second], [])
    session.execute(update(Image).values(jd_utc=None))
    assert without_copies(session, [first, second]) == ([first, second], [])


def make(session: Session, first_pid: int, band: str, night: date, known: MadeUp | None = None) -> MadeUp:
    number = made_up.add_observation(session, filter_name=band, night=night)
    rng = np.random.default_rng(4)
    return made_up.add_light_curves(session, number, rng, n_stars=12, n_frames=24, first_pid=first_pid, known=known)


def radec_of(session: Session, source_id: int) -> tuple[float, float]:
    source = session.get_one(Source, source_id)
    return source.ra_deg or 0.0, source.dec_deg or 0.0


def test_a_place_is_one_source_on_all_nights(session: Session, nights: tuple[MadeUp, MadeUp]) -> None:
    first, second = nights
    place = radec_of(session, first.variable)
    for seen in (
        seen_at(session, lambda _: (place[0], place[1] + 1.0 / 3600)),
        seen_as(session, source_id=first.variable),
        seen_as(session, gaia=GAIA),
    ):
        assert [one.observation_id for one, _ in seen] == [first.observation_id, second.observation_id]
        assert {star.source_id for _, star in seen} == {first.variable}
    assert seen_at(session, lambda _: (place[0], place[1] + 10.0)) == []
    assert seen_as(session, gaia=12) == []


def test_a_star_that_moved_is_sought_where_it_was(session: Session, nights: tuple[MadeUp, MadeUp]) -> None:
    first, second = nights
    start, end = (radec_of(session, int(first.source_ids[number])) for number in (5, 6))
    seen = seen_at(session, lambda night: start if night == date(2024, 3, 4) else end)
    found = [(one.observation_id, star.source_id) for one, star in seen]
    assert found == [(first.observation_id, first.source_ids[5]), (second.observation_id, first.source_ids[6])]


def test_the_light_curve_over_all_nights(session: Session, nights: tuple[MadeUp, MadeUp]) -> None:
    first, _ = nights
    both = read_nights(session, seen_as(session, source_id=first.variable))
    assert list(both.table["filter"]) == ["R"] * 24 + ["V"] * 24
    assert (np.diff(both.table["jd_utc"]) > 0).all()
    for made, curve in zip(nights, both.curves, strict=True):
        rows = both.table[both.table["observation_id"] == made.observation_id]
        np.testing.assert_array_equal(rows["flux_relative"], curve.values("flux_relative"))
        assert set(rows["image_id"]) == set(made.image_ids.tolist())
    assert (both.table.meta["filter"], both.table.meta["source"]) == ("R; V", first.variable)
    assert not both.in_magnitudes
    with pytest.raises(ConfigurationError, match="no observation"):
        read_nights(session, [])


def test_a_star_is_found_by_the_index_on_cells(session: Session, nights: tuple[MadeUp, MadeUp]) -> None:
    """No statement reads the sources of an observation but by their ids, and those come from the index."""
    facts = find_observation(session, nights[0].observation_id)
    place = radec_of(session, nights[0].variable)
    connection = session.connection()
    statements: list[tuple[str, object]] = []
    event.listen(connection, "before_cursor_execute", lambda _c, _k, sql, values, *_: statements.append((sql, values)))
    assert find_source(session, facts, radec=place).source_id == nights[0].variable
    plans = []
    for sql, values in [one for one in statements if "FROM source" in one[0]]:
        rows = connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {sql}", values).fetchall()  # type: ignore[arg-type]
        plans.append(" / ".join(str(row[-1]) for row in rows))
    assert len(plans) == 2
    assert "ix_source_healpix" in plans[0]
    assert all("SCAN" not in plan for plan in plans)


def test_the_field_of_an_observation(session: Session, nights: tuple[MadeUp, MadeUp]) -> None:
    first, second = (find_observation(session, made.observation_id) for made in nights)
    inside = radec_of(session, nights[0].variable)
    # The second template is not solved, and its sky has no WCS of its own either: nobody knows.
    assert (in_field(session, first, inside), in_field(session, second, inside)) == (None, None)
    assert solved_field(session, first) is None  # its template's image is not there
    assert gaia_names(session, nights[0].source_ids.tolist())[nights[0].variable].gaia_source_id == GAIA
    session.execute(text("UPDATE sky SET ra_deg = 31.0, dec_deg = 46.7, radius_deg = 0.1"))
    assert in_field(session, second, inside) is True
    assert in_field(session, second, (31.0, 46.9)) is False


def test_plain_numbers_are_what_lies_in_the_field(
    session: Session, nights: tuple[MadeUp, MadeUp], capsys: pytest.CaptureFixture[str]
) -> None:
    facts = find_observation(session, nights[0].observation_id)
    session.execute(text("UPDATE sky SET ra_deg = 31.0, dec_deg = 46.7, radius_deg = 0.1"))
    ra, dec = radec_of(session, nights[0].variable)
    star = target_source(session, facts, Position(ra, dec, "either"))
    assert star.source_id == nights[0].variable
    assert "424px,286px" in capsys.readouterr().err
    # The first frame is the template itself but for its shift, which the made-up night draws at random.
    shift = session.query(Frame).filter(Frame.image_id == int(nights[0].image_ids[0])).one()
    x, y = nights[0].xy[7]
    for kind in ("either", "pixels"):
        place = Position(x + (shift.dx or 0.0), y + (shift.dy or 0.0), kind)
        assert target_source(session, facts, place).source_id == nights[0].source_ids[7]
    with pytest.raises(ConfigurationError, match=r"no source within .* as RA,DEC the numbers lie outside"):
        target_source(session, facts, Position(200.0, -80.0, "either"))
    with pytest.raises(ConfigurationError, match="outside of the field"):
        target_source(session, facts, Position(200.0, -80.0, "sky"))


def test_without_coordinates_the_message_says_so(session: Session) -> None:
    made = make(session, OTHER, "R", date(2024, 3, 4))
    facts = find_observation(session, made.observation_id)
    with pytest.raises(ConfigurationError, match=r"no source within .* the field has no sky coordinates"):
        target_source(session, facts, parse_target("300,-80"))  # type: ignore[arg-type]
    with pytest.raises(ConfigurationError, match="no celestial coordinates"):
        target_source(session, facts, parse_target("31.0d,46.7d"))  # type: ignore[arg-type]


def test_options_of_the_sky_are_checked_before_a_run_begins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    starting = typer.Typer()
    starting.command()(run_command)
    for options, expected in (
        (("--catalog", "gaia.csv"), "is no file"),
        (("--radec", "31.0"), "is not RA,DEC"),
        (("--target", "31.0"), "'31.0' is not a place"),
    ):
        result = CliRunner().invoke(starting, [str(tmp_path), *options])
        assert (result.exit_code, expected in result.stderr) == (1, True), result.stderr
    assert list(tmp_path.iterdir()) == []


def run(*arguments: str) -> tuple[int, str, str]:
    result = CliRunner().invoke(app, list(arguments))
    return result.exit_code, result.stdout, result.stderr


@pytest.mark.parametrize("chosen", ["target", "name", "radec", "gaia", "source", "xy"])
def test_the_command_takes_all_nights(
    session: Session, nights: tuple[MadeUp, MadeUp], tmp_path: Path, chosen: str
) -> None:
    ra, dec = radec_of(session, nights[0].variable)
    x, y = nights[0].xy[3]
    remember(session, named_object("The Star", (ra, dec)))
    session.commit()
    options = {
        "target": ("--target", f"{ra},{dec}"),
        "name": ("--target", "the  STAR"),
        "radec": ("--radec", f"{ra}d,{dec}d"),
        "gaia": ("--gaia", str(GAIA)),
        "source": ("--source", str(nights[0].variable)),
        "xy": ("--xy", f"{x},{y}"),
    }
    path = tmp_path / "curve.ecsv"
    code, _, said = run(*options[chosen], "--output", str(path), "--format", "ecsv")
    assert code == 0, said
    table = Table.read(path)
    assert set(table["observation_id"]) == {made.observation_id for made in nights}
    assert set(table["source_id"]) == {nights[0].variable}
    assert "flux_relative of each observation has median 1 by itself" in said


def test_one_observation_and_formats_of_one(session: Session, nights: tuple[MadeUp, MadeUp], tmp_path: Path) -> None:
    star = ("--gaia", str(GAIA))
    code, printed, _ = run(*star, "--observation", str(nights[1].observation_id))
    assert code == 0
    assert len(printed.splitlines()) == 25
    code, _, said = run(*star, "--format", "etd")
    assert code == 1
    assert "choose one (--observation)" in said
    assert run(*star, "--plot", str(tmp_path / "nights.png"))[0] == 0
    assert (tmp_path / "nights.png").read_bytes().startswith(b"\x89PNG")
    for asked, expected in (
        ((), "give one of them"),
        (("--gaia", "12"), "none of the 2 observations"),
        (("--target", "nobody"), "target add nobody"),
        (("--target", "5px,5px"), "choose one"),
    ):
        code, _, said = run(*asked)
        assert (code, expected in said) == (1, True), said
