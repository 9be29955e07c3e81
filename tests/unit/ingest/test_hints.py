"""What headers say of a field's place and scale becomes the observation's hints for solving."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session, sessionmaker

from schema import database, models
from schema.observing import Observation, ToldPlace
from schema.processes import Site
from services.ingest.coordinates import places, pointing_notes
from services.ingest.headers import FrameFacts, read_frame
from services.ingest.raw_folder import Folder
from services.ingest.register import register
from tests.unit.ingest.made_frames import facts, header, write

JD = 2460374.3


@pytest.fixture
def sessions(tmp_path: Path) -> Iterator[sessionmaker[Session]]:
    engine = database.connect(f"sqlite:///{tmp_path / 'test.db'}")
    models.metadata.create_all(engine)
    sessions: sessionmaker[Session] = database.session_factory(engine)
    with sessions.begin() as session:
        session.add(Site(name="here", root="/night"))
    yield sessions
    engine.dispose()


def ingested(sessions: sessionmaker[Session], *frames: FrameFacts) -> list[Observation]:
    with sessions.begin() as session:
        register(session, Folder(list(frames), []), site="here", root=Path("/nowhere"))
    with sessions() as session:
        return list(session.scalars(select(Observation).order_by(Observation.observation_id)))


def test_an_observation_has_the_mean_pointing_and_the_median_scale(sessions: sessionmaker[Session]) -> None:
    """Of the frames that tell: across 0 h the mean of 359 and 2 degrees is half a degree."""
    [found] = ingested(
        sessions,
        facts("a.fits", JD, ra_deg=359.0, dec_deg=0.0, pixel_scale_arcsec=1.0),
        facts("b.fits", JD + 0.001, ra_deg=2.0, dec_deg=0.0, pixel_scale_arcsec=1.02),
        facts("c.fits", JD + 0.002, pixel_scale_arcsec=90.0),
        facts("d.fits", JD + 0.003),
    )
    assert found.ra_deg == pytest.approx(0.5, abs=1e-9)
    assert found.dec_deg == pytest.approx(0.0, abs=1e-9)
    assert found.pixel_scale_arcsec == 1.02


def test_hints_come_later_and_stay(sessions: sessionmaker[Session]) -> None:
    [found] = ingested(sessions, facts("a.fits", JD))
    assert (found.ra_deg, found.dec_deg, found.pixel_scale_arcsec) == (None, None, None)
    [found] = ingested(sessions, facts("b.fits", JD + 0.001, ra_deg=31.0, dec_deg=46.7))
    assert (found.ra_deg, found.dec_deg) == pytest.approx((31.0, 46.7), abs=1e-9)
    assert found.pixel_scale_arcsec is None
    [found] = ingested(sessions, facts("c.fits", JD + 0.002, ra_deg=99.0, dec_deg=9.0, pixel_scale_arcsec=1.5))
    assert (found.ra_deg, found.dec_deg) == pytest.approx((31.0, 46.7), abs=1e-9)
    assert found.pixel_scale_arcsec == 1.5


def test_calibration_frames_point_nowhere(sessions: sessionmaker[Session]) -> None:
    flat = facts("a.fits", JD, kind="flat", target=None, ra_deg=31.0, dec_deg=46.7, pixel_scale_arcsec=1.5)
    [found] = ingested(sessions, flat)
    assert (found.ra_deg, found.dec_deg, found.pixel_scale_arcsec) == (None, None, None)


def test_a_frame_tells_its_scale_and_what_was_not_believed(tmp_path: Path) -> None:
    cards = {"IMAGETYP": "light", "EXPTIME": 30.0, "DATE_OBS": "2024-03-04T20:00:00"}
    path = write(tmp_path / "a.fits", FOCALLEN=1000.0, XPIXSZ=9.0, YPIXSZ=9.0, RA=31.0, DEC=97.0, **cards)
    found = read_frame(path)
    assert found.pixel_scale_arcsec == pytest.approx(1.856383, rel=1e-6)
    assert (found.ra_deg, found.dec_deg) == (None, None)
    assert "RA, DEC of 31, 97 degrees are no place on the sky: ignored" in found.notes
    flat = read_frame(write(tmp_path / "flat.fits", RA=31.0, DEC=97.0, **cards | {"IMAGETYP": "flat"}))
    assert not any("place on the sky" in note for note in flat.notes)


def test_a_place_that_is_found_elsewhere_is_no_reason_for_a_note() -> None:
    assert pointing_notes(header(RA=31.0, DEC=97.0, OBJCTRA="02 04 10", OBJCTDEC="46 41 16")) == ()
    assert pointing_notes(header(RA=0.0, DEC=0.0)) == (), "a mount that was not connected"
    assert pointing_notes(header(RA="unknown", DEC="unknown")) == ()


def test_all_places_that_contradict_each_other_are_told() -> None:
    """A stale pair beside a WCS; a number that may be hours; and neither where all agree."""
    wcs = {"CTYPE1": "RA---TAN", "CTYPE2": "DEC--TAN", "CRVAL1": 31.0, "CRVAL2": 46.7, "CDELT1": 3e-4}
    stale = places(header(RA=65.0, DEC=46.7, **wcs))
    assert [(one.keys, one.ra, one.dec) for one in stale] == [("CRVAL1, CRVAL2", 31.0, 46.7), ("RA, DEC", 65.0, 46.7)]
    alone = places(header(RA=2.0695, DEC=46.7))
    assert [(one.keys, one.ra) for one in alone] == [
        ("RA, DEC", 2.0695),
        ("RA, DEC in hours", pytest.approx(31.0425, abs=1e-9)),
    ]
    assert len(places(header(RA=(2.0695, "[deg] right ascension"), DEC=46.7))) == 1
    assert len(places(header(RA=31.0, DEC=46.7, **wcs))) == 1


def test_an_observation_knows_all_places(sessions: sessionmaker[Session], tmp_path: Path) -> None:
    cards = {"IMAGETYP": "light", "EXPTIME": 30.0, "OBJECT": "x", "RA": 65.0, "DEC": 46.7, "OBJCTDEC": "46 42 00"}
    frames = [
        read_frame(write(tmp_path / f"{i}.fits", DATE_OBS=f"2024-03-04T20:0{i}:00", OBJCTRA="02 04 00", **cards))
        for i in range(2)
    ]
    [found] = ingested(sessions, *frames)
    assert found.ra_deg == pytest.approx(65.0, abs=1e-9)
    with sessions() as session:
        told = session.scalars(select(ToldPlace).order_by(ToldPlace.number)).all()
    assert [(row.told_by, round(row.ra_deg, 6)) for row in told] == [("RA, DEC", 65.0), ("OBJCTRA, OBJCTDEC", 31.0)]
