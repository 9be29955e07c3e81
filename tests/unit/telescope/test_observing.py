"""One exposure by a telescope that answers by Alpaca: what it is told, what comes of it, and what of its errors."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import astropy.units as u
import numpy as np
import pytest
from astropy.coordinates import TETE, SkyCoord
from astropy.io import fits
from astropy.time import Time
from astropy.utils import iers
from numpy.typing import NDArray

from services.deployment import TelescopeDeployment
from services.errors import ConfigurationError, DataError, SurroundingsError, TransientError
from services.ingest.raw_folder import FrameReader
from services.telescope.exposure import TakenExposure, WantedExposure
from services.telescope.frame_header import cards_of, file_name, of_process, write_frame
from services.telescope.looking import look_at
from services.telescope.observing import UnwantedExposureError, pixels_of, take
from services.telescope.pointing import as_mount_has_it
from tests.alpaca.simulator import TOPOCENTRIC, Exposure, Observatory, serving

SHAPE = (5, 8)
RAMP = np.arange(40, dtype=np.uint16).reshape(SHAPE) + 65_000  # above what 16 bits with a sign hold
WANTED = WantedExposure("light", 3.0, target="HAT-P-32", radec=(31.0428, 46.6878), filter="R", gain=120)


@contextmanager
def telescope(pixels: NDArray[Any] = RAMP, **changes: Any) -> Iterator[tuple[Observatory, TelescopeDeployment]]:
    observatory = Observatory(lambda _: pixels, SHAPE, **{"speed": 1000.0, **changes})
    with serving(observatory) as server:
        yield observatory, devices(server)


def devices(server: str, **changes: Any) -> TelescopeDeployment:
    place = {"latitude_deg": 38.6, "longitude_deg": 93.9, "elevation_m": 4200.0, "settle_s": 0.0}
    told = dict.fromkeys(("camera", "mount", "filter_wheel"), f"{server}/0")
    return TelescopeDeployment(**told | {"instrument": "cam", "name": "T1", "diameter_m": 0.5} | place | changes)


def nothing() -> None:
    """Nobody has anything against it."""


def taken(at: TelescopeDeployment, wanted: WantedExposure = WANTED) -> TakenExposure:
    return take(at, wanted, nothing, nothing)


@pytest.mark.parametrize("json_only", [False, True], ids=["ImageBytes", "JSON"])
@pytest.mark.parametrize("pixels", [RAMP, RAMP.astype(np.int32) * 30], ids=["16 bit", "32 bit"])
def test_ingest_finds_in_the_header_what_was_done(json_only: bool, pixels: NDArray[Any], tmp_path: Path) -> None:
    """Axes in their order, counts above 32767 as they are, and each fact as ingest's own reader has it."""
    with telescope(pixels, json_only=json_only) as (_, at):
        before = datetime.now(UTC)
        found = taken(at)
        after = datetime.now(UTC)
    np.testing.assert_array_equal(found.pixels, pixels)
    path = tmp_path / "raw" / file_name(WANTED, 17, 1)
    write_frame(path, found.pixels, cards_of(WANTED, found, at, 17))
    with fits.open(path) as hdus:
        np.testing.assert_array_equal(hdus[0].data, pixels)
        assert hdus[0].data.shape == SHAPE
        assert hdus[0].header.get("BZERO", 0) == (32768 if pixels.dtype == np.uint16 else 0)
    facts = FrameReader().read(path)
    assert (facts.kind, facts.target, facts.filter, facts.binning) == ("light", "HAT-P-32", "R", "1x1")
    assert (facts.instrument, facts.telescope, facts.exposure, facts.shape) == ("cam", "T1", 3.0, SHAPE)
    assert (facts.gain, facts.gain_source, facts.saturation, facts.temperature) == (1.5, "EGAIN", 65535.0, -10.0)
    assert (facts.ra_deg, facts.dec_deg, facts.diameter_m) == (31.0428, 46.6878, 0.5)
    assert (facts.site_latitude, facts.site_longitude, facts.site_elevation) == pytest.approx((38.6, 93.9, 4200.0))
    assert facts.notes == ()
    start = Time(facts.start_utc, format="jd", scale="utc").to_datetime(UTC)
    assert before - timedelta(milliseconds=2) <= start <= after
    assert facts.jd_utc == pytest.approx((facts.start_utc or 0.0) + 1.5 / 86_400.0, abs=1e-9)


def test_what_the_camera_does_not_tell_is_not_made_up(tmp_path: Path) -> None:
    """Its gain setting alone is no electrons per ADU, however small."""
    with telescope(electrons_per_adu=None) as (_, at):
        wanted = WantedExposure("dark", 3.0, gain=2)
        found = taken(at, wanted)
    write_frame(tmp_path / "dark.fits", found.pixels, cards_of(wanted, found, at, 17))
    facts = FrameReader().read(tmp_path / "dark.fits")
    assert (facts.gain, facts.notes, facts.kind, facts.ra_deg) == (None, (), "dark", None)


@pytest.mark.parametrize("nonsense", [float("nan"), "warm", None, [1.0], 1e999])
def test_nonsense_is_not_written_into_a_header(nonsense: Any, tmp_path: Path) -> None:
    with telescope() as (observatory, at):
        answer = observatory._camera
        unsure = ("ccdtemperature", "maxadu", "electronsperadu", "pixelsizex", "lastexposureduration", "offset")
        observatory._camera = lambda method, values: nonsense if method in unsure else answer(method, values)  # type: ignore[method-assign]
        found = taken(at)
    write_frame(tmp_path / "frame.fits", found.pixels, cards_of(WANTED, found, at, 17))
    facts = FrameReader().read(tmp_path / "frame.fits")
    assert (facts.exposure, facts.gain, facts.saturation, facts.temperature) == (3.0, None, None, None)


def test_kinds_are_taken_as_they_are() -> None:
    with telescope() as (observatory, at):
        for kind, exposure_s in (("bias", 0.0), ("dark", 5.0), ("flat", 5.0), ("light", 5.0)):
            taken(at, WantedExposure(kind, exposure_s, radec=(10.0, 20.0) if kind == "light" else None))
    shutter = [(one.light, one.seconds) for one in observatory.exposures]
    assert shutter == [(False, 0.001), (False, 5.0), (True, 5.0), (True, 5.0)]
    assert observatory.log.count("slew") == 1


def test_binned_frames_are_smaller() -> None:
    with telescope(RAMP[:2, :4]) as (observatory, at):
        assert taken(at, WantedExposure("dark", 1.0, binning=2)).pixels.shape == (2, 4)
        assert observatory.exposures[0].binning == 2
        with pytest.raises(TransientError, match=r"gave \(4, 2\) pixels, \(8, 5\) were asked for"):
            taken(at, WantedExposure("dark", 1.0))


def test_a_mount_of_date_is_told_the_place_of_date() -> None:
    when = datetime(2020, 11, 20, 20, tzinfo=UTC)  # astropy needs the Earth's rotation, which it has of the past
    for ra, dec in ((31.0428, 46.6878), (359.99, -75.0), (180.0, 0.0)):
        with iers.conf.set_temp("auto_download", False):
            apparent = SkyCoord(ra, dec, unit="deg").transform_to(TETE(obstime=Time(when)))
        found = SkyCoord(*as_mount_has_it((ra, dec), TOPOCENTRIC, when), unit="deg", frame="icrs")
        there = SkyCoord(apparent.ra, apparent.dec, frame="icrs")
        assert found.separation(there) < 1.0 * u.arcsec
        assert found.separation(SkyCoord(ra, dec, unit="deg")) > 200.0 * u.arcsec
    with telescope(system=TOPOCENTRIC) as (observatory, at):
        taken(at)
        taken(at)
    assert observatory.log.count("slew") == 1
    assert observatory.radec == pytest.approx(as_mount_has_it(WANTED.radec, TOPOCENTRIC, datetime.now(UTC)), abs=1e-3)


def test_it_waits_until_the_telescope_stands_still() -> None:
    with telescope(slew_s=0.4) as (observatory, at):
        began = time.monotonic()
        taken(at)
        assert observatory.log == ["filter R", "slew", "expose 3"]
        assert time.monotonic() - began > 0.4
        observatory.slew_s, observatory.radec = 1e6, (0.0, 90.0)
        with pytest.raises(TransientError, match=r"slews for more than 0\.3 s"):
            taken(at.model_copy(update={"slew_timeout_s": 0.3}))
    assert observatory.log[-1] == "abort slew"


@pytest.mark.parametrize(
    ("wanted", "said"),
    [
        ({"filter": "U"}, "has no filter 'U', expected one of 'Dark', 'R', 'V'"),
        ({"gain": 9999}, "takes no such value when asked to set its gain to 9999"),
        ({"binning": 3}, "takes no such value when asked to bin by 3"),
        ({"exposure_s": 7200.0}, "exposes for 0.001 to 3600 s, not 7200"),
    ],
)
def test_what_it_cannot_do_is_the_plans_fault(wanted: dict[str, Any], said: str) -> None:
    with telescope() as (observatory, at), pytest.raises(ConfigurationError, match=said):
        taken(at, WantedExposure(**{"kind": "light", "exposure_s": 3.0, **wanted}))
    assert observatory.exposures == []


def test_devices_that_are_not_there() -> None:
    with telescope() as (_, at):
        for name in ("camera", "mount", "filter_wheel"):
            address = getattr(at, name).replace("/0", "/7")
            with pytest.raises(ConfigurationError, match=r"/7 is not known to its server \(HTTP 400\)"):
                taken(at.model_copy(update={name: address}))
        with pytest.raises(ConfigurationError, match="this telescope has no filter wheel"):
            taken(at.model_copy(update={"filter_wheel": None}))
        assert taken(at.model_copy(update={"mount": None})).exposure_s == 3.0
    with pytest.raises(SurroundingsError, match="does not answer when asked to connect"):
        taken(at)


def test_the_doctor_looks_at_each_device() -> None:
    with telescope() as (observatory, at):
        found = [said for said, wrong in look_at(at) if not wrong]
        assert [one.rpartition(": ")[2] for one in found] == [
            f"simulated {one}" for one in ("camera", "telescope", "filterwheel")
        ]
        assert observatory.connected == {}
    assert all("does not answer when asked to tell its name" in wrong for _, wrong in look_at(at))


def test_a_camera_that_is_at_work_is_left_alone() -> None:
    with telescope(speed=1.0) as (observatory, at):
        observatory.connected["camera"] = True
        observatory._start(1e6, light=True)
        with pytest.raises(SurroundingsError, match="is at work for somebody else"):
            taken(at)
        assert observatory.aborted == 0


@pytest.mark.parametrize(
    ("error", "aborted"),
    [(DataError("cancelled"), 1), (SurroundingsError("leaves"), 1), (UnwantedExposureError("x"), 0)],
)
def test_an_exposure_that_is_not_wanted_any_more_is_aborted(error: Exception, aborted: int) -> None:
    """But not by an attempt that another one has followed, whose exposure it may be."""
    with telescope(speed=1.0) as (observatory, at):

        def check() -> None:
            if observatory.exposures:
                raise error

        with pytest.raises(type(error)):
            take(at, WANTED, check, nothing)
        assert observatory.aborted == aborted


@pytest.mark.parametrize(
    ("clock_s", "note"), [(-3600.0, "that is taken"), (-2.0, "that is taken"), (3600.0, "that is")]
)
def test_a_clock_that_is_wrong_is_not_believed(clock_s: float, note: str) -> None:
    with telescope(clock_s=clock_s) as (_, at):
        before = datetime.now(UTC)
        found = taken(at)
    assert before <= found.start <= datetime.now(UTC)
    assert [note in one for one in found.notes] == [True]


def test_a_camera_that_begins_late_says_when() -> None:
    """Some clear their detector first."""
    with telescope(clock_s=2.0) as (_, at):
        before = datetime.now(UTC)
        found = taken(at)
    assert found.start - before > timedelta(seconds=1.9)
    assert ["the camera's time is taken" in one for one in found.notes] == [True]


def test_no_image_comes() -> None:
    with telescope() as (observatory, at):
        observatory._pass_time = lambda: None  # type: ignore[method-assign]
        with pytest.raises(TransientError, match=r"gave no image 0\.2 s after an exposure of 0\.1 s"):
            taken(at.model_copy(update={"readout_timeout_s": 0.2}), WantedExposure("dark", 0.1))
        assert observatory.aborted == 1


def test_colour_planes_are_refused() -> None:
    with pytest.raises(DataError, match=r"shape \(4, 5, 3\), expected one plane"):
        pixels_of(np.zeros((4, 5, 3), dtype=np.int32).tolist(), "camera")


def test_files_are_named_by_process_and_attempt(tmp_path: Path) -> None:
    """Whatever the target is called."""
    hostile = WantedExposure("light", 3.0, target="../../etc/passwd [x] $(rm)", filter="g'/r")
    names = [file_name(hostile, 17, 1), file_name(hostile, 17, 2), file_name(WantedExposure("bias", 0.0), 18, 1)]
    assert names == ["etc_passwd_x_rm-g_r-17-1.fits", "etc_passwd_x_rm-g_r-17-2.fits", "bias-18-1.fits"]
    for name in [*names, "x-117-1.fits", ".x-17-3.fits.part"]:
        (tmp_path / name).touch()
    assert of_process(tmp_path, 17) == {1: tmp_path / names[0], 2: tmp_path / names[1]}
    assert of_process(tmp_path / "none", 17) == {}


def test_the_exposure_is_what_was_asked_for() -> None:
    with telescope() as (observatory, at):
        answer = observatory._camera

        def stopped(method: str, values: dict[str, str] | None) -> Any:
            return 1.0 if method == "lastexposureduration" else answer(method, values)

        observatory._camera = stopped  # type: ignore[method-assign]
        with pytest.raises(TransientError, match="exposed for 1 s, 3 s were asked for"):
            taken(at)
    assert observatory.exposures == [Exposure(3.0, True, "R", observatory.radec, 120, 1)]
