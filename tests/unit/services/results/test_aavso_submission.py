"""What the database knows of a star that goes to AAVSO: its name, its air, and the stars beside it."""

import io
from pathlib import Path

import numpy as np
import pytest
from sqlalchemy import select, update
from sqlalchemy.orm import Session

from schema import database
from schema.image import Image
from schema.observing import Observation, ObsSite
from schema.photometry import ReferenceStar, StandardTransformation, StandardZeroPoint, ZeroPointStar
from services.errors import ConfigurationError
from services.results.lightcurves.aavso import write_aavso
from services.results.lightcurves.observation_facts import observation_facts
from services.results.lightcurves.reading import LightCurve, read_light_curve
from services.results.lightcurves.selection import find_source
from services.results.lightcurves.submission import read_submission
from services.results.targets import SIMBAD, named_object, remember
from tests.unit.services.made_up import MadeUp, base_rows
from tests.unit.services.vo.solved_night import solved_night

CAMERA_COLOUR = "plane R"


@pytest.fixture
def made(ready_sqlite_url: str) -> tuple[Session, MadeUp]:
    session = database.session_factory(database.connect(ready_sqlite_url))()
    base_rows(session)
    return session, solved_night(session)


def curve_of(session: Session, made: MadeUp) -> LightCurve:
    facts = observation_facts(session, made.observation_id)
    return read_light_curve(session, facts, find_source(session, facts, source_id=made.variable))


def place_of(curve: LightCurve) -> tuple[float, float]:
    assert curve.source.ra_deg is not None
    assert curve.source.dec_deg is not None
    return curve.source.ra_deg, curve.source.dec_deg


def test_a_name_that_points_at_the_star_is_known(made: tuple[Session, MadeUp]) -> None:
    """The user's own before SIMBAD's though it is farther; one that points elsewhere is none."""
    session, truth = made
    curve = curve_of(session, truth)
    ra, dec = place_of(curve)
    remember(session, named_object("elsewhere", (ra, dec + 0.01)))
    with pytest.raises(ConfigurationError, match=r"has no name here, and AAVSO goes by names: say .*--name"):
        read_submission(session, curve, observer="ABC")
    remember(session, named_object("V* RR Lyr", (ra, dec), origin=SIMBAD))
    assert read_submission(session, curve, observer="ABC").name == "V* RR Lyr"
    remember(session, named_object("RR Lyr", (ra, dec + 0.0003)))
    assert read_submission(session, curve, observer="ABC").name == "RR Lyr"
    # At a proper motion of 60 arcsec a year the star has left by 2024.
    remember(session, named_object("RR Lyr", (ra, dec + 0.0003), (0.0, 60_000.0)))
    assert read_submission(session, curve, observer="ABC").name == "V* RR Lyr"
    assert read_submission(session, curve, observer="ABC", name="asked for").name == "asked for"


def test_an_observer_must_be_told(made: tuple[Session, MadeUp]) -> None:
    session, truth = made
    with pytest.raises(ConfigurationError, match="--observer"):
        read_submission(session, curve_of(session, truth), observer=None, name="x")


def test_the_air_is_the_stars_own_where_the_site_is_known(made: tuple[Session, MadeUp]) -> None:
    session, truth = made
    session.execute(update(Image).values(airmass=1.75))
    curve = curve_of(session, truth)
    of_field = read_submission(session, curve, observer="A", name="x").airmass
    assert set(of_field.values()) == {1.75}
    session.add(ObsSite(obs_site_id=7, name="hill", longitude_deg=0.0, latitude_deg=46.7, elevation_m=0.0))
    session.flush()
    session.execute(update(Observation).values(obs_site_id=7))
    own = read_submission(session, curve, observer="A", name="x").airmass
    jd = {row.image_id: row.jd_utc for row in session.execute(select(Image.image_id, Image.jd_utc))}
    ra, dec = place_of(curve)
    for image, found in own.items():
        hour_angle = np.radians(280.46062 + 360.98564737 * ((jd[image] or 0.0) - 2451545) - ra)
        at = np.radians(46.7)
        sine = np.sin(at) * np.sin(np.radians(dec)) + np.cos(at) * np.cos(np.radians(dec)) * np.cos(hour_angle)
        assert found == pytest.approx(1.0 / sine, rel=0.03)  # of 2024, without precession and the air's curvature
    assert set(own) == set(of_field)


def test_stars_beside_it_have_their_instrumental_magnitudes(made: tuple[Session, MadeUp]) -> None:
    """Of many references there is no one comparison star; one that is alone is named."""
    session, truth = made
    curve = curve_of(session, truth)
    other, alone = [one for one in truth.source_ids.tolist() if one != truth.variable][:2]
    session.execute(
        update(ReferenceStar).where(ReferenceStar.source_id == other).values(role="check", is_reference=False)
    )
    told = read_submission(session, curve, observer="A", name="x")
    assert told.comparison is None
    assert told.check is not None
    facts = curve.observation
    [aperture] = curve.radii
    beside = read_light_curve(session, facts, find_source(session, facts, source_id=other), aperture)
    expected = dict(zip(beside.values("image_id").tolist(), -2.5 * np.log10(beside.values("flux_raw")), strict=True))
    assert told.check.magnitude == pytest.approx({image: float(expected[image]) for image in told.check.magnitude})
    assert len(told.check.magnitude) == len(expected)
    session.execute(update(ReferenceStar).values(is_reference=ReferenceStar.source_id == alone))
    remember(session, named_object("000-BBC-1", place_of_source(session, truth, alone)))
    told = read_submission(session, curve, observer="A", name="x")
    assert told.comparison is not None
    assert told.comparison.name == "000-BBC-1"


def test_standard_magnitudes_go_with_their_statement(made: tuple[Session, MadeUp]) -> None:
    """Of a night with a transformation to its filter's band; a point without a zero point is left out."""
    session, truth = made
    [aperture], pid = curve_of(session, truth).radii, 17
    none = dict.fromkeys(("field_u", "field_v", "field_uu", "field_uv", "field_vv"), 0.0)
    fit = {
        "colour_term": -0.05,
        "colour_term_error": 0.0,
        "colour_reference": 1.0,
        "colour_low": 0.0,
        "colour_high": 2.0,
    }
    of_fit = {"band": "Rc", "origin": "relation", "systematic": 0.03, "scatter": 0.01, "stars": 20}
    session.add(
        StandardTransformation(pid=pid, aperture=aperture, observation_id=truth.observation_id, **fit, **of_fit)
    )
    for image in truth.image_ids[1:].tolist():
        known = {"zero_point": 22.0, "zero_point_error": 0.01, "scatter": 0.01, "stars": 20}
        session.add(StandardZeroPoint(pid=pid, image_id=image, aperture=aperture, **known, **none))
    star = {"u": 0.0, "v": 0.0, "colour": 1.4, "colour_error": 0.0, "used": True, "colour_known": True}
    session.add(ZeroPointStar(pid=pid, source_id=truth.variable, **star))
    session.execute(update(Observation).values(zero_point_pid=pid))
    session.flush()
    curve = curve_of(session, truth)
    told = read_submission(session, curve, observer="A", name="x")
    stream = io.StringIO()
    write_aavso(curve.table, stream, told)
    rows = [line.split(",") for line in stream.getvalue().splitlines() if not line.startswith("#")]
    chosen = curve.usable & (curve.values("image_id") != truth.image_ids[0])
    expected = 22.0 - 2.5 * np.log10(curve.values("flux_raw")[chosen]) - 0.05 * (1.4 - 1.0)
    assert [float(row[2]) for row in rows] == pytest.approx(expected.tolist(), abs=6e-5)
    assert {tuple(row[4:7]) for row in rows} == {("R", "YES", "STD")}
    assert "Rc = ZP - 2.5 log10(flux) -0.0500" in rows[0][14]


def place_of_source(session: Session, made: MadeUp, source_id: int) -> tuple[float, float]:
    star = find_source(session, observation_facts(session, made.observation_id), source_id=source_id)
    assert star.ra_deg is not None
    assert star.dec_deg is not None
    return star.ra_deg, star.dec_deg


def test_the_colour_of_a_colour_camera_is_told(made: tuple[Session, MadeUp], tmp_path: Path) -> None:
    session, truth = made
    session.execute(update(Observation).values(geometry=f"from 1,1, {CAMERA_COLOUR}"))
    assert read_submission(session, curve_of(session, truth), observer="A", name="x").plane == "R"
