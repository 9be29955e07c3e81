"""What is known of an image, as rows of its header: keyword, value, comment; what is not known is absent.

Names of cards are FITS's own where it has one, else those that AstroImageJ, MaxIm DL and QLCP read.
"""

import importlib.metadata
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from functools import cache
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from schema.observing import Filter, Instrument, Observation, ObsSite, Target
from services.fits_cards import Value, card, lines
from services.steps.shared.step import Context

MJD_ZERO = 2400000.5  # JD
J2000_JD, J2000 = 2451545.0, datetime(2000, 1, 1, 12)
MM_PER_M = 1000.0
GIVEN_SETTING = "given "  # begins what sets given masters apart, in place of a detector's setting
UNKNOWN_INSTRUMENT = "unknown"  # the name of a camera that no header names

Row = tuple[str, Value, str]  # keyword, value, comment


@dataclass(frozen=True)
class Told:
    """What rows of an observation tell of all its images; None where nobody told."""

    object: str | None = None
    filter: str | None = None
    instrument: str | None = None
    telescope: str | None = None
    diameter_m: float | None = None
    longitude_deg: float | None = None
    latitude_deg: float | None = None
    elevation_m: float | None = None
    ra_deg: float | None = None
    dec_deg: float | None = None
    binning: str = ""
    night: date | None = None
    setting: str = ""
    reduced: str = ""

    @property
    def is_given(self) -> bool:
        """Whether its one frame is a master that the operator gave as a file: nobody knows what that is made of."""
        return self.setting.startswith(GIVEN_SETTING)


def told_of(context: Context, session: Session) -> Told:
    """The observation of a process, read once by each worker for all processes of a graph."""
    return context.once("told", context.graph_pid, lambda: _read(session, context.observation_id))


def _read(session: Session, observation_id: int | None) -> Told:
    row = session.execute(
        select(
            Target.name.label("object"),
            Filter.name.label("filter"),
            *(Instrument.name.label("instrument"), Instrument.telescope, Instrument.diameter_m),
            *(ObsSite.longitude_deg, ObsSite.latitude_deg, ObsSite.elevation_m),
            *(Observation.ra_deg, Observation.dec_deg, Observation.binning, Observation.night),
            *(Observation.setting, Observation.reduced),
        )
        .select_from(Observation)
        .join(Target, Target.target_id == Observation.target_id)
        .join(Filter, Filter.filter_id == Observation.filter_id)
        .join(Instrument, Instrument.instrument_id == Observation.instrument_id)
        .outerjoin(ObsSite, ObsSite.obs_site_id == Observation.obs_site_id)
        .where(Observation.observation_id == observation_id)
    ).one_or_none()
    return Told() if row is None else Told(**row._mapping)


def section(title: str) -> str:
    """The line above a section."""
    return lines("COMMENT", f"---- {title} ----")


def cards(*rows: Row) -> str:
    """Cards of what is known."""
    return "".join(card(*row) for row in rows)


def sight_rows(seen: Mapping[str, Any]) -> Iterable[Row]:
    """The times that hang on where a field is, and where it stood, by columns of table image."""
    hjd, bjd = seen.get("hjd_utc"), seen.get("bjd_tdb")
    yield "HJD", hjd, "[d] heliocentric, UTC, mid-exposure"
    yield "HJD_UTC", hjd, "[d] the same"
    yield "BJD", bjd, "[d] barycentric, TDB, mid-exposure"
    yield "BJD_TDB", bjd, "[d] the same"
    yield "ALT", seen.get("altitude_deg"), "[deg] altitude at mid-exposure"
    yield "AZ", seen.get("azimuth_deg"), "[deg] azimuth from north through east"
    yield "AIRMASS", seen.get("airmass"), "of the field's centre at mid-exposure"


def pointing_rows(ra_deg: float | None, dec_deg: float | None) -> Iterable[Row]:
    """Where the field's centre is, ICRS; nothing where that is not known."""
    if ra_deg is None or dec_deg is None:
        return
    ra, dec = _sexagesimal(ra_deg / 15.0, 3), ("-" if dec_deg < 0 else "+") + _sexagesimal(abs(dec_deg), 2)
    yield "RA", ra, "[h:m:s] right ascension of the field's centre"
    yield "DEC", dec, "[d:m:s] declination"
    yield "OBJCTRA", ra.replace(":", " "), "[h m s] the same"
    yield "OBJCTDEC", dec.replace(":", " "), "[d m s] the same"
    yield "EQUINOX", 2000.0, "of the coordinates"
    yield "RADESYS", "ICRS", "their frame"


def sky_cards(centre: tuple[float, float], seen: Mapping[str, Any] | None) -> dict[str, Any]:
    """What a solved field adds to an image's header, besides the WCS: (value, comment) by keyword."""
    rows = [*pointing_rows(*centre), *(sight_rows(seen) if seen is not None else ())]
    return {keyword: (value, comment) for keyword, value, comment in rows if value is not None}


def station_rows(told: Told) -> Iterable[Row]:
    """Where the telescope stands."""
    yield "SITELAT", told.latitude_deg, "[deg] latitude"
    yield "SITELONG", told.longitude_deg, "[deg] longitude, east positive"
    yield "SITEELEV", told.elevation_m, "[m] height above the sea"


def instrument_rows(told: Told) -> Iterable[Row]:
    """Telescope, camera, band, and how the detector was set."""
    yield "TELESCOP", told.telescope or None, "telescope"
    yield "APTDIA", None if told.diameter_m is None else told.diameter_m * MM_PER_M, "[mm] diameter of the telescope"
    yield "INSTRUME", None if told.instrument == UNKNOWN_INSTRUMENT else told.instrument or None, "camera"
    yield "FILTER", told.filter or None, "band"
    factors = told.binning.split("x")
    if len(factors) == 2 and all(factor.isdigit() for factor in factors):
        yield "XBINNING", int(factors[0]), "pixels of the detector in one"
        yield "YBINNING", int(factors[1]), "pixels of the detector in one"
    yield "DETSET", None if told.is_given else told.setting or None, "the detector's setting, as its header tells"


def exposure_rows(seconds: float | None, comment: str = "[s] exposure time") -> Iterable[Row]:
    """The exposure time."""
    yield "EXPTIME", seconds, comment
    yield "EXPOSURE", seconds, "[s] the same"


def noise_rows(gain: float | None, read_noise: float | None, of: str = "") -> Iterable[Row]:
    """Gain (electrons an ADU) and read noise (electrons)."""
    yield "GAIN", gain, f"[electron/adu] {of}".rstrip()
    yield "EGAIN", gain, "[electron/adu] the same"
    yield "RDNOISE", read_noise, f"[electron] read noise {of}".rstrip()


def start_rows(jd_utc: float | None, comment: str = "start of the exposure, UTC") -> Iterable[Row]:
    """The start of an exposure."""
    yield "TIMESYS", None if jd_utc is None else "UTC", "time scale of DATE-OBS, DATE-AVG and MJD"
    if jd_utc is not None:
        yield "DATE-OBS", _iso(jd_utc), comment
        yield "MJD-OBS", jd_utc - MJD_ZERO, "[d] the same"


def middle_rows(jd_utc: float | None, comment: str = "mid-exposure, UTC") -> Iterable[Row]:
    """The middle of an exposure."""
    if jd_utc is not None:
        yield "DATE-AVG", _iso(jd_utc), comment
        yield "MJD-AVG", jd_utc - MJD_ZERO, "[d] the same"
        yield "JD", jd_utc, f"[d] {comment}"
        yield "JD_UTC", jd_utc, "[d] the same"
        yield "MJD", jd_utc - MJD_ZERO, "[d] the same"


def creator_rows() -> Iterable[Row]:
    """What made the file."""
    yield "CREATOR", f"Tianyu {_version()}", "program that made this file"


@cache
def _version() -> str:
    return importlib.metadata.version("tianyu")


def _iso(jd_utc: float) -> str:
    return (J2000 + timedelta(days=jd_utc - J2000_JD)).isoformat(timespec="microseconds")[:-2]


def _sexagesimal(value: float, decimals: int) -> str:
    units = round(value * 3600 * 10**decimals)
    seconds, fraction = divmod(units, 10**decimals)
    minutes, second = divmod(seconds, 60)
    whole, minute = divmod(minutes, 60)
    return f"{whole:02d}:{minute:02d}:{second:02d}.{fraction:0{decimals}d}"
