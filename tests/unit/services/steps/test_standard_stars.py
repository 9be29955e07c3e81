"""Standard magnitudes of a made-up night: what `zero_point` stores of a band, and what a star's curve says."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from astropy.table import Table
from sqlalchemy import select, update
from sqlalchemy.orm import Session, sessionmaker

from pipeline.zero_points import RELATIONS, StandardFlag, by_relation
from schema import database
from schema.observing import Filter, Observation
from schema.photometry import StandardTransformation, StandardZeroPoint, ZeroPoint
from schema.skies import SourceCrossmatch
from services.choices import Choices
from services.errors import ConfigurationError, DataError
from services.results.lightcurves.observation_facts import find_observation
from services.results.lightcurves.reading import read_light_curve
from services.results.lightcurves.selection import find_source
from services.results.lightcurves.standard import StandardCurve, required_curve, to_json
from tests.unit.photometry.zero_point_night import Night, Truth, make
from tests.unit.services.steps.test_zero_point_step import PID, Field

TERM = 0.09
RED, COLOURLESS = 7, 9  # places of stars: one redder than the relation of Rc holds for, one without BP - RP
APERTURE = 1


def night_in(band: str) -> Night:
    """A camera that sees a band and a colour term, and Gaia's G of stars that have the night's magnitudes in it."""
    night = make(Truth(stars=80, frames=20, faintest=15.0, own_scatter=0.002))
    colour = np.random.default_rng(5).uniform(0.4, 1.7, night.g_mag.size)
    colour[RED] = 2.4
    relation = RELATIONS[band]
    of_sun = by_relation(band, np.zeros(colour.size), np.clip(colour, relation.low, relation.high))
    flux, error = (values * 10.0 ** (0.4 * TERM * colour)[:, None] for values in (night.flux, night.error))
    return replace(
        night, g_mag=night.g_mag - of_sun, places=replace(night.places, colour=colour), flux=flux, error=error
    )


class Standards(Field):
    """The field of such a night."""

    def __init__(self, sessions: sessionmaker[Session], filter_name: str) -> None:
        super().__init__(sessions, night_in("Rc"))
        self.change(update(Filter).values(name=filter_name))
        colourless = int(self.source_ids[COLOURLESS])
        self.change(update(SourceCrossmatch).where(SourceCrossmatch.source_id == colourless).values(bp_mag=None))
        self.change(update(Observation).values(calibration_pid=PID - 1))

    def star(self, place: int) -> StandardCurve:
        with self.sessions() as session:
            facts = find_observation(session, self.observation)
            source = find_source(session, facts, source_id=int(self.source_ids[place]))
            return required_curve(session, read_light_curve(session, facts, source, APERTURE))

    def transformation(self) -> StandardTransformation:
        with self.sessions() as session:
            query = select(StandardTransformation).where(StandardTransformation.aperture == APERTURE)
            return session.scalars(query).one()


@pytest.fixture
def made(ready_sqlite_url: str) -> Iterator[Callable[[str], Standards]]:
    engine = database.connect(ready_sqlite_url)
    yield lambda name: Standards(database.session_factory(engine), name)
    engine.dispose()


def test_the_red_pixels_of_a_colour_camera_are_not_cousins_r(made: Callable[[str], Standards]) -> None:
    field = made("R")
    field.change(update(Observation).values(geometry="overscan, plane R"))
    field.run()
    with field.sessions() as session:
        assert session.scalars(select(StandardTransformation)).all() == []
        assert session.scalars(select(ZeroPoint)).first() is not None  # G's are there


def test_a_filter_gives_its_band_with_the_instruments_colour_term(made: Callable[[str], Standards]) -> None:
    """R is Cousins R: term and level of all stars within their errors, the published scatter beside them."""
    field = made("R")
    field.run()
    found = field.transformation()
    assert (found.band, found.origin, found.systematic) == ("Rc", "relation", RELATIONS["Rc"].scatter)
    assert abs(found.colour_term - TERM) < 4.0 * found.colour_term_error < 0.02
    assert found.colour_high <= RELATIONS["Rc"].high
    assert field.count(StandardZeroPoint) == field.count(ZeroPoint)
    pulls = []
    for place in range(20, 60):
        star = field.star(place)
        assert not star.standard.flag.any()
        pulls.append((star.standard.magnitude - field.night.true_mag[place]) / star.standard.error)
    assert abs(np.mean(pulls)) < 0.6  # of one zero point that all share
    assert np.sqrt(np.mean(np.square(pulls))) < 1.6
    assert "Rc (Johnson-Cousins, Vega) from filter R" in star.statement


def test_stars_beyond_the_colours_and_without_one_have_none_and_say_so(made: Callable[[str], Standards]) -> None:
    field = made("R")
    field.run()
    for place, flag, words in (
        (RED, StandardFlag.OUTSIDE_COLOURS, "its BP-RP, 2.40, is outside"),
        (COLOURLESS, StandardFlag.NO_COLOUR, "Gaia has no BP-RP of this star"),
    ):
        star = field.star(place)
        assert np.isnan(star.standard.magnitude).all()
        assert set(star.standard.flag.tolist()) == {int(flag)}
        assert words in str(star.refusal)
        assert to_json(star)["magnitude"] is None
        table = star.table()
        assert table["mag_standard"].mask.all()
        assert (table["mag_standard_flag"] == int(flag)).all()


@pytest.mark.parametrize("name", ["Clear", "Ha"])
def test_a_filter_of_no_band_gives_none_and_says_what_to_do(made: Callable[[str], Standards], name: str) -> None:
    field = made(name)
    field.run()
    assert field.count(StandardTransformation) == 0
    assert field.count(ZeroPoint) > 0
    with pytest.raises(DataError, match=f'standard_bands, such as "{name}=V"'):
        field.star(20)


def test_a_band_may_be_chosen(made: Callable[[str], Standards]) -> None:
    field = made("R")
    field.run(Choices(standard_bands=("V=r", "R=r")))
    assert field.transformation().band == "r"
    with pytest.raises(ConfigurationError, match="'R=Q': expected one of B, V"):
        field.run(Choices(standard_bands=("R=Q",)))


def _magnitudes(field: Standards) -> np.ndarray:
    return field.night.true_mag + 0.3  # so that a table is told from the relations


@pytest.mark.parametrize(
    ("columns", "declared", "origin"),
    [
        ("gspc", (), "synthetic"),
        ("ids", ("Rc=Rmag", "source_id=gaia"), "table"),
        ("places", ("Rc=Rmag", "ra=RAJ2000", "dec=DEJ2000"), "table"),
    ],
)
def test_a_table_of_standards_goes_before_the_relations(
    made: Callable[[str], Standards], tmp_path: Path, columns: str, declared: tuple[str, ...], origin: str
) -> None:
    """By Gaia's numbers or by place; stars that its own flag does not vouch for are left out."""
    field = made("R")
    n, magnitude = field.source_ids.size, _magnitudes(field)
    ids, flag = 10 * field.source_ids + 1, np.ones(n, dtype=int)
    flag[:30], spoilt = 0, magnitude.copy()
    spoilt[:30] += 2.0
    table = {
        "gspc": Table({"source_id": ids, "r_jkc_mag": spoilt, "r_jkc_flag": flag}),
        "ids": Table({"gaia": ids, "Rmag": magnitude}),
        "places": Table(
            {
                "recno": np.arange(n),
                "source_id": np.arange(n),  # its own numbers, not Gaia's
                "RAJ2000": 120.0 - (field.xy[:, 0] - 499.5) / 3600.0,
                "DEJ2000": (field.xy[:, 1] - 349.5) / 3600.0,
                "Rmag": magnitude,
            }
        ),
    }[columns]
    path = tmp_path / "standards.csv"
    table.write(path, format="ascii.csv")
    field.run(Choices(standard_file=path, standard_columns=declared))
    found = field.transformation()
    assert (found.origin, found.systematic) == (origin, None)
    assert (found.stars > 50) == (columns != "gspc")
    star = field.star(50)
    assert np.median(star.standard.magnitude) == pytest.approx(magnitude[50], abs=0.02)


@pytest.mark.parametrize(
    ("table", "declared", "words"),
    [
        (Table({"source_id": [1], "Vmag": [9.0]}), ("Rc=Rmag",), "no column 'Rmag'"),
        (Table({"source_id": [1], "Rmag": [9.0]}), ("R=Rmag",), "expected one of B, V"),
        (Table({"source_id": [1.5], "Rc": [9.0]}), (), "expected whole numbers"),
        (Table({"source_id": [1], "Rc": [12345]}), (), "is 12345 in 1 places, which is no magnitude"),
        (Table({"star": [1], "Rc": [9.0]}), (), "neither Gaia's source_id nor places"),
        (Table({"source_id": [1], "Rc": ["bright"]}), (), "column Rc holds no numbers"),
    ],
)
def test_a_table_that_is_none_is_named_with_what_is_wrong(
    made: Callable[[str], Standards], tmp_path: Path, table: Table, declared: tuple[str, ...], words: str
) -> None:
    path = tmp_path / "standards.csv"
    table.write(path, format="ascii.csv")
    with pytest.raises(ConfigurationError) as caught:
        made("R").run(Choices(standard_file=path, standard_columns=declared))
    assert words in str(caught.value)
    assert "standard" in str(caught.value)


def test_a_table_that_is_away_is_named(made: Callable[[str], Standards], tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"standard_file .*No such file"):
        made("R").run(Choices(standard_file=tmp_path / "away.csv"))
