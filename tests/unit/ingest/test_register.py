"""Registering frames: what is new, what was there, what has become whole, and at what cost in statements."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sqlalchemy import Engine, event, select
from sqlalchemy.orm import Session, sessionmaker

from pipeline.sky.horizontal import airmass, altitude_azimuth
from pipeline.sky.times import bjd_tdb
from schema import database, models
from schema.image import CALIBRATED, Image
from schema.observing import Instrument, Observation
from schema.processes import Site
from schema.queries import frames
from services.errors import ConfigurationError
from services.frame_notes import frame_notes
from services.ingest.given import Given
from services.ingest.headers import FrameFacts
from services.ingest.raw_folder import Folder, read_folder
from services.ingest.register import UNKNOWN, Ingest, register
from tests.unit.ingest.made_frames import facts, pixels, write

MOST_STATEMENTS = 20  # for any number of frames of one observation; one a frame would be a thousand


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    engine = database.connect(f"sqlite:///{tmp_path / 'test.db'}")
    models.metadata.create_all(engine)
    with database.session_factory(engine).begin() as session:
        session.add(Site(name="here", root="/night"))
    yield engine
    engine.dispose()


@pytest.fixture
def sessions(engine: Engine) -> sessionmaker[Session]:
    return database.session_factory(engine)


@pytest.fixture
def raw(tmp_path: Path) -> Path:
    folder = tmp_path / "raw"
    folder.mkdir()
    return folder


def ingest(sessions: sessionmaker[Session], folder: Folder | Path) -> Ingest:
    read = read_folder(folder) if isinstance(folder, Path) else folder
    with sessions.begin() as session:
        return register(session, read, site="here", root=Path("/nowhere"))


def rows(sessions: sessionmaker[Session]) -> dict[str, Image]:
    with sessions() as session:
        return {Path(image.path).name: image for image in session.scalars(select(Image))}


def light(path: Path, seed: int = 1, **cards: Any) -> Path:
    time = f"2024-03-04T20:{seed:02d}:00"
    return write(path, pixels(seed), IMAGETYP="light", OBJECT="M1", EXPTIME=30.0, DATE_OBS=time, **cards)


def test_a_thousand_frames_take_a_few_statements(engine: Engine, sessions: sessionmaker[Session]) -> None:
    night = Folder([facts(f"{i:04d}.fits", jd=2460374.3 + i / 1440) for i in range(1000)], [])
    statements: list[str] = []
    event.listen(engine, "before_cursor_execute", lambda _c, _cursor, text, *_: statements.append(text))
    first = ingest(sessions, night)
    assert (first.observations[0].new, first.known) == (1000, 0)
    assert len(statements) <= MOST_STATEMENTS
    statements.clear()
    second = ingest(sessions, night)
    assert (second.observations[0].new, second.known) == (0, 1000)
    assert len(statements) <= MOST_STATEMENTS
    assert len(rows(sessions)) == 1000


def test_a_file_that_was_still_being_written_is_taken_when_it_is_whole(
    sessions: sessionmaker[Session], raw: Path
) -> None:
    light(raw / "whole.fits")
    path = light(raw / "late.fits", seed=2)
    content = path.read_bytes()
    path.write_bytes(content[:3000])
    ingest(sessions, raw)
    before = rows(sessions)["late.fits"]
    assert (before.kind, before.good, before.observation_id) == (UNKNOWN, False, None)
    assert "truncated" in (before.reject_reason or "")

    path.write_bytes(content)
    result = ingest(sessions, raw)
    after = rows(sessions)["late.fits"]
    assert (after.kind, after.good, after.reject_reason) == ("light", None, None)
    assert after.image_id == before.image_id
    assert after.observation_id == rows(sessions)["whole.fits"].observation_id
    assert (after.nx, after.ny, after.exposure_s, after.size_bytes) == (30, 20, 30.0, len(content))
    assert (result.observations[0].new, result.known) == (1, 1)


def test_a_file_that_is_unreadable_in_another_way_tells_the_new_reason(
    sessions: sessionmaker[Session], raw: Path
) -> None:
    path = light(raw / "late.fits")
    content = path.read_bytes()
    path.write_bytes(b"")
    assert "is empty" in ingest(sessions, raw).rejected[0][1]
    assert not ingest(sessions, raw).rejected  # told once
    path.write_bytes(content[:3000])
    assert "truncated" in ingest(sessions, raw).rejected[0][1]
    assert "truncated" in (rows(sessions)["late.fits"].reject_reason or "")


def test_a_rejected_frame_that_was_copied_again_gets_another_chance(sessions: sessionmaker[Session], raw: Path) -> None:
    path = light(raw / "again.fits")
    light(raw / "other.fits", seed=2)
    ingest(sessions, raw)
    with sessions.begin() as session:
        frames.reject(session, dict.fromkeys(session.scalars(select(Image.image_id)), "cannot be read"), 7)
    path.unlink()
    write(path, pixels(1, (80, 30)), IMAGETYP="light", OBJECT="M1", EXPTIME=30.0, DATE_OBS="2024-03-04T20:01:00")
    (raw / "other.fits").unlink()
    ingest(sessions, raw)
    assert rows(sessions)["again.fits"].ny == 80
    with sessions() as session:
        usable = session.scalars(select(frames.USABLE).order_by(Image.path)).all()
    assert usable == [True, False]  # the other has not changed


def test_names_of_any_bytes_are_registered_on_one_line(sessions: sessionmaker[Session], raw: Path) -> None:
    light(raw / "with ' \" quotes.fits", seed=1)
    light(raw / "new\nline.fits", seed=2)
    light(raw / "ünïcode-星.fits", seed=3)
    light(raw / "plain.fits", seed=4).rename(raw / b"odd\xff.fits".decode(errors="surrogateescape"))
    result = ingest(sessions, raw)
    found = rows(sessions)
    assert {name: found[name].good for name in found} == {
        "with ' \" quotes.fits": None,
        "new\nline.fits": None,
        "ünïcode-星.fits": None,
        "odd\\udcff.fits": False,
    }
    [(file, reason)] = result.rejected
    assert "is not UTF-8: rename the file" in reason
    assert "\n" not in file + reason


def test_copies_and_frames_of_another_shape_are_rejected_with_the_reason(
    sessions: sessionmaker[Session], raw: Path
) -> None:
    for seed in (1, 2, 3):
        light(raw / f"{seed}.fits", seed)
    (raw / "copy.fits").write_bytes((raw / "3.fits").read_bytes())
    write(raw / "odd.fits", pixels(5, (25, 30)), IMAGETYP="light", OBJECT="M1", EXPTIME=30.0)
    ingest(sessions, raw)
    found = rows(sessions)
    assert [found[f"{seed}.fits"].good for seed in (1, 2, 3)] == [None, None, None]
    assert found["copy.fits"].good is False
    assert "has the same content as" in (found["copy.fits"].reject_reason or "")
    assert "30 x 25 pixels, most of its observation are 30 x 20" in (found["odd.fits"].reject_reason or "")


def test_frames_of_another_shape_join_an_observation_of_their_own(sessions: sessionmaker[Session]) -> None:
    """What was registered before decides the shape, however many come later; one or two are a slip of the window."""

    def night(numbers: range, shape: tuple[int, int], name: str = "") -> list[FrameFacts]:
        return [facts(f"{name}{i:03d}.fits", jd=2460374.3 + i / 1440, shape=shape) for i in numbers]

    first, two = night(range(2), (20, 20)), night(range(2, 4), (28, 28))
    ingest(sessions, Folder(first, []))
    assert len(ingest(sessions, Folder(two, [])).rejected) == 2
    held = rows(sessions)
    assert "is 28 x 28 pixels, most of its observation are 20 x 20" in (held["002.fits"].reject_reason or "")
    # As a folder that grows: with a third one they are a window of their own, and those after it join them.
    grown = [*first, *two, *night(range(4, 9), (28, 28))]
    result = ingest(sessions, Folder(grown, []))
    assert [(one.key.geometry, one.new) for one in result.observations] == [("", 0), ("28 x 28 pixels", 7)]
    ingest(sessions, Folder(night(range(9, 10), (28, 28)), []))
    ingest(sessions, Folder(night(range(10, 11), (20, 20)), []))
    assert ingest(sessions, Folder(grown, [])).known == len(grown)
    found = rows(sessions)
    assert {image.good for image in found.values()} == {None}
    owners = {name: image.observation_id for name, image in found.items()}
    assert len(set(owners.values())) == 2
    assert {owners[f"{i:03d}.fits"] for i in (0, 1, 10)} == {owners["000.fits"]}


@pytest.mark.parametrize(("angles", "axis"), [((88.0, 272.0), 90.0), ((179.0, 3.0), 1.0), ((0.0, 40.0), None)])
def test_an_observation_is_turned_as_its_frames_say(
    sessions: sessionmaker[Session], angles: tuple[float, ...], axis: float | None
) -> None:
    """Half a turn at the meridian is none; a field that turns all night has no angle."""
    night = [facts(f"{i}.fits", 2460374.3 + i / 1440, position_angle_deg=one) for i, one in enumerate(angles)]
    ingest(sessions, Folder(night, []))
    with sessions() as session:
        [(found,)] = session.execute(select(Observation.position_angle_deg)).all()
    assert found == (None if axis is None else pytest.approx(axis))


def test_a_site_that_is_not_registered_is_named(sessions: sessionmaker[Session]) -> None:
    with sessions() as session, pytest.raises(ConfigurationError, match=r"'elsewhere' is not registered.*tianyu init"):
        register(session, Folder([], []), site="elsewhere", root=Path("/night"))


def test_height_and_airmass_are_computed_where_the_place_is_known(sessions: sessionmaker[Session]) -> None:
    """The header's own airmass is never read; a telescope's diameter is kept, also when a later night tells it."""
    place = {"ra_deg": 31.0, "dec_deg": 46.7, "site_latitude": 38.6, "site_longitude": 93.9, "site_elevation": 4200.0}
    jd = 2458108.0
    night = [facts("a.fits", jd, **place), facts("b.fits", jd + 0.1, **place), facts("flat.fits", jd, kind="flat")]
    ingest(sessions, Folder(night, []))
    found = rows(sessions)
    altitude, azimuth = altitude_azimuth(np.array([jd]), 31.0, 46.7, (93.9, 38.6, 4200.0))
    assert found["a.fits"].altitude_deg == pytest.approx(altitude[0])
    assert found["a.fits"].azimuth_deg == pytest.approx(azimuth[0])
    assert found["a.fits"].airmass == pytest.approx(float(airmass(altitude[0])))
    assert found["b.fits"].altitude_deg != found["a.fits"].altitude_deg
    assert found["flat.fits"].altitude_deg is None
    ingest(sessions, Folder([facts("c.fits", jd, ra_deg=31.0, dec_deg=46.7, filter="V", diameter_m=1.26)], []))
    lost = rows(sessions)["c.fits"]
    assert lost.bjd_tdb is not None
    assert (lost.airmass, lost.altitude_deg, lost.azimuth_deg) == (None, None, None)
    with sessions() as session:
        assert session.scalars(select(Instrument.diameter_m)).all() == [1.26]


def test_an_airmass_that_stands_still_in_the_headers_is_not_believed(
    sessions: sessionmaker[Session], raw: Path
) -> None:
    place = {"SITELAT": 38.6, "SITELONG": 93.9, "SITEELEV": 4200.0, "RA": 31.0, "DEC": 46.7}
    for hour in (12, 15, 18):
        date = f"2017-12-20T{hour}:00:00"
        write(raw / f"{hour}.fits", pixels(hour), IMAGETYP="light", EXPTIME=30.0, DATE_OBS=date, AIRMASS=1.0, **place)
    ingest(sessions, raw)
    found = rows(sessions)
    middle = np.array([found[f"{hour}.fits"].jd_utc for hour in (12, 15, 18)])
    expected = airmass(altitude_azimuth(middle, 31.0, 46.7, (93.9, 38.6, 4200.0))[0])
    assert [found[f"{hour}.fits"].airmass for hour in (12, 15, 18)] == pytest.approx(expected.tolist(), rel=1e-9)
    assert np.ptp(expected) > 0.1


def test_where_the_observer_was_is_known_without_a_pointing(sessions: sessionmaker[Session]) -> None:
    """Once the field is solved, every star's own BJD follows; the centre's times must wait."""
    jd = 2458108.0
    place = {"site_latitude": 38.6, "site_longitude": 93.9, "site_elevation": 4200.0}
    ingest(sessions, Folder([facts("a.fits", jd, ra_deg=None, dec_deg=None, **place)], []))
    found = rows(sessions)["a.fits"]
    ra, dec = np.radians([31.0, 46.7])
    star = np.array([np.cos(dec) * np.cos(ra), np.cos(dec) * np.sin(ra), np.sin(dec)])
    own = found.jd_tdb + star @ [found.observer_x, found.observer_y, found.observer_z]
    expected = bjd_tdb(np.array([jd]), 31.0, 46.7, (93.9, 38.6, 4200.0))[0]
    assert own == pytest.approx(expected, rel=0, abs=1e-9)
    assert (found.bjd_tdb, found.hjd_utc, found.airmass) == (None, None, None)


def test_a_field_below_the_horizon_has_no_airmass(sessions: sessionmaker[Session]) -> None:
    place = {"ra_deg": 31.0, "dec_deg": -80.0, "site_latitude": 38.6, "site_longitude": 93.9}
    ingest(sessions, Folder([facts("a.fits", 2458108.0, **place)], []))
    found = rows(sessions)["a.fits"]
    assert found.altitude_deg < 0
    assert found.airmass is None


def test_what_is_doubtful_of_frames_is_kept_in_a_line_for_all_of_them(
    sessions: sessionmaker[Session], raw: Path
) -> None:
    for seed in (1, 2, 3):
        write(
            raw / f"a_{seed}.fits",
            pixels(seed),
            IMAGETYP="strange",
            OBJECT="M1",
            EXPTIME=30.0,
            DATE_OBS=f"2024-03-04T20:0{seed}:00",
        )
    (number,) = (one.observation_id for one in ingest(sessions, raw).observations)
    ingest(sessions, raw)  # a second look adds nothing
    with sessions() as session:
        assert frame_notes(session, {number: None}) == {number: ["3 frames: type 'strange' is not known"]}


def test_what_cannot_be_of_calibrated_frames_is_noted(sessions: sessionmaker[Session], raw: Path) -> None:
    """A sky below zero and half a frame of bad pixels; a sky of little light and the pixels of an old camera can be."""
    honest, impossible = {"background": -2.0, "hot_pixels": 900}, {"background": -191.0, "hot_pixels": 4500}
    with sessions.begin() as session:
        for graph, found in ((7, honest), (8, impossible), (8, impossible)):
            count = len(session.scalars(select(Image)).all())
            made = {"kind": CALIBRATED, "site_id": 1, "path": str(count), "path_digest": str(count), "graph_pid": graph}
            session.add(Image(**made, nx=100, ny=90, background_rms=4.0, **found))
        session.flush()
        notes = frame_notes(session, {1: 7, 2: 8})
    assert notes[1] == []
    below, bad = notes[2]
    assert below.startswith("2 calibrated frames have a sky below zero (-191 ADU in the mean)")
    assert bad.startswith("2 calibrated frames have 50 % bad pixels")


def test_a_corrected_header_is_read_again_and_a_copied_file_is_not(sessions: sessionmaker[Session], raw: Path) -> None:
    """The size of the file stays: headers are padded."""
    first, second = light(raw / "a.fits", 1), light(raw / "b.fits", 2)
    ingest(sessions, raw)
    size = first.stat().st_size
    os.utime(second, (1e9, 1e9))
    first.unlink()
    write(first, pixels(1), IMAGETYP="light", OBJECT="M1", EXPTIME=30.0, DATE_OBS="2024-03-04T21:01:00")
    assert first.stat().st_size == size
    (found,) = ingest(sessions, raw).observations
    assert (found.new, found.corrected) == (0, 1)
    start = {name: row.start_jd_utc or 0.0 for name, row in rows(sessions).items()}
    assert (start["a.fits"] - start["b.fits"]) * 1440.0 == pytest.approx(59.0)
    (found,) = ingest(sessions, raw).observations
    assert (found.new, found.corrected) == (0, 0)


def test_frames_that_come_later_join_those_they_belong_to(sessions: sessionmaker[Session], raw: Path) -> None:
    """By another name, when most of the night has that one: the observation stays."""

    def spelt(name: str, object_name: str, minute: int) -> None:
        time = f"2024-03-04T20:{minute:02d}:00"
        write(raw / name, pixels(minute), IMAGETYP="light", OBJECT=object_name, EXPTIME=30.0, DATE_OBS=time)

    spelt("a.fits", "M 1", 1)
    (before,) = ingest(sessions, raw).observations
    for minute in (2, 3):
        spelt(f"{minute}.fits", "M1", minute)
    (after,) = ingest(sessions, raw).observations
    assert (after.observation_id, after.new) == (before.observation_id, 2)


def test_frames_of_other_settings_are_apart(sessions: sessionmaker[Session], raw: Path) -> None:
    """Gain, offset and mode of any frame; temperatures of darks, but not those that drift."""
    seed = iter(range(1, 60))

    def frame(kind: str, **cards: Any) -> None:
        number = next(seed)
        time = f"2024-03-04T20:{number:02d}:00"
        write(raw / f"{number}.fits", pixels(number), IMAGETYP=kind, EXPTIME=30.0, DATE_OBS=time, **cards)

    for gain, offset in ((1.5, 10), (1.5, 10), (4.0, 10), (4.0, 50)):
        frame("bias", GAIN=gain, OFFSET=offset)
    for temperature in (-20.1, -19.9, -18.0, -16.0, 10.0):
        frame("dark", CCD_TEMP=temperature)
    frame("dark")  # which tells none
    for offset in range(6):
        frame("light", OBJECT="M1", OFFSET=offset)  # which counts frames
    found = ingest(sessions, raw).observations
    assert sorted((one.key.kind, one.key.setting, one.new) for one in found) == [
        ("bias", "gain 1.5, offset 10", 2),
        ("bias", "gain 4, offset 10", 1),
        ("bias", "gain 4, offset 50", 1),
        ("dark", "", 1),
        ("dark", "temperature -20", 4),
        ("dark", "temperature 10", 1),
        ("light", "", 6),
    ]


def test_names_that_are_given_hold_for_the_folder_and_move_what_was_registered(
    sessions: sessionmaker[Session], raw: Path
) -> None:
    light(raw / "a.fits", 1)
    write(raw / "bias.fits", pixels(9), IMAGETYP="bias")
    ingest(sessions, raw)
    given = Given(object="M67", filter="V", instrument="QHY 600")
    found = {one.key.kind: one for one in ingest(sessions, read_folder(raw, given=given)).observations}
    assert [found["light"].key.target, found["light"].key.filter, found["bias"].key.filter] == ["M67", "V", None]
    assert {one.key.instrument for one in found.values()} == {"QHY 600"}
    assert found["light"].corrected == 1
    with sessions() as session:
        assert session.scalars(select(Image.observation_id).where(Image.kind == "light")).one() == (
            found["light"].observation_id
        )


@pytest.mark.parametrize("name", ["", " M67", "M\n67", "x" * 65])
def test_what_is_no_name_is_refused(name: str) -> None:
    with pytest.raises(ConfigurationError, match=r"--object .* is no name: expected 1 to 64 printable"):
        Given(object=name)


def test_a_colour_camera_s_file_is_one_file_in_what_is_said(sessions: sessionmaker[Session], raw: Path) -> None:
    """Half written at first, then whole, then registered once more, then cut again."""
    path = write(raw / "m67.fits", OBJECT="M67", DATE_OBS="2024-01-01T20:00:00", EXPTIME=10.0, BAYERPAT="RGGB")
    whole = path.read_bytes()
    path.write_bytes(whole[:3500])
    first = ingest(sessions, raw)
    assert len(first.rejected) == 1
    path.write_bytes(whole)
    second = ingest(sessions, raw)
    assert [one.key.filter for one in second.observations] == ["B", "G1", "G2", "R"]
    assert (second.known, second.rejected) == (0, [])
    assert ingest(sessions, raw).known == 1
    with sessions() as session:
        kinds = [(image.kind, image.good) for image in session.scalars(select(Image))]
    assert kinds == [("light", None)] * 4
    path.write_bytes(whole[:3500])
    assert (ingest(sessions, raw).known, ingest(sessions, raw).rejected) == (1, [])
