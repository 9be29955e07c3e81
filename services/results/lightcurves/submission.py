"""What a light curve's file for AAVSO says besides its points: names, air, comparison and check stars."""

from collections.abc import Mapping, Sequence

import numpy as np
from sqlalchemy import select
from sqlalchemy.orm import Session

from pipeline.sky.astrometry.sphere import separation_arcsec
from pipeline.sky.horizontal import airmass, altitude_azimuth
from pipeline.sky.proper_motion import moved
from schema.frame import Frame
from schema.observing import Observation, ObsSite
from schema.photometry import ReferenceStar
from schema.queries.measurements import flux_matrix
from schema.skies import NamedObject
from services.errors import ConfigurationError
from services.frame_geometry import plane_of
from services.results.lightcurves.aavso import LABEL_LENGTH, NOTHING, OTHER, Comparison, StandardMagnitudes, Submission
from services.results.lightcurves.observation_facts import ObservationFacts
from services.results.lightcurves.reading import LightCurve
from services.results.lightcurves.selection import SourceFacts, find_source, sky_tolerance
from services.results.lightcurves.standard import PAN_STARRS_ORIGIN, standard_curve

JD_OF_DAY_0 = 1721424.5  # of the proleptic Gregorian calendar's day 0, as Python counts
CODES_OF_BANDS = {"B": "B", "V": "V", "Rc": "R", "Ic": "I", "g": "SG", "r": "SR", "i": "SI", "z": "SZ"}
# AAVSO's SG, SR, SI and SZ are Sloan's; of Pan-STARRS' bands it has codes for z ("Z-short") and y, the others are O.
PAN_STARRS_CODES = {"g": OTHER, "r": OTHER, "i": OTHER, "z": "ZS"}
EPOCH_OF_NAMES = 2000.0


def read_submission(
    session: Session,
    curve: LightCurve,
    *,
    observer: str | None,
    name: str | None = None,
    chart: str = NOTHING,
    band: str | None = None,
) -> Submission:
    """What is told, and what the database knows: the star's name, its air mass, comparison and check stars.

    Raises:
        ConfigurationError: no observer is told, nobody knows the star's name, or one of these is none of AAVSO's.
    """
    if observer is None:
        raise ConfigurationError("AAVSO takes observations by an observer's code: say yours (--observer ABC)")
    observation, images = curve.observation, np.unique(np.asarray(curve.table["image_id"]))
    row = session.get_one(Observation, observation.observation_id)
    comparison, check = _beside(session, curve, images.tolist())
    return Submission(
        observer=observer,
        name=known_name(session, observation, curve.source) if name is None else name,
        chart=chart,
        band=band,
        plane=plane_of(row.geometry),
        airmass=_airmass(session, curve),
        comparison=comparison,
        check=check,
        standard=_standard(session, curve),
    )


def _standard(session: Session, curve: LightCurve) -> StandardMagnitudes | None:
    """The star in its filter's standard band, where the night has a transformation to it."""
    found = standard_curve(session, curve)
    if found is None or (camera := CODES_OF_BANDS.get(found.facts.by.band)) is None:
        return None
    is_pan_starrs = found.facts.origin == PAN_STARRS_ORIGIN
    code = PAN_STARRS_CODES[found.facts.by.band] if is_pan_starrs else camera
    return StandardMagnitudes(code, found.standard.magnitude, found.standard.error, found.statement, camera)


def known_name(session: Session, observation: ObservationFacts, star: SourceFacts) -> str:
    """The name of a star among those that `tianyu target` lists, the user's own before others'.

    Raises:
        ConfigurationError: no name points there.
    """
    remedy = "say the name that VSX has (--name), or `tianyu target add NAME RA DEC`"
    if star.ra_deg is None or star.dec_deg is None:
        raise ConfigurationError(f"source {star.source_id} has no place on the sky to know its name by: {remedy}")
    found = _named_at(session, observation, (star.ra_deg, star.dec_deg))
    if found is None:
        raise ConfigurationError(
            f"source {star.source_id} at {star.ra_deg:.5f}, {star.dec_deg:+.5f} has no name here, and AAVSO goes "
            f"by names: {remedy}"
        )
    return found


def _named_at(session: Session, observation: ObservationFacts, radec: tuple[float, float]) -> str | None:
    known = session.scalars(select(NamedObject).order_by(NamedObject.name)).all()
    if not known:
        return None
    places = np.array([(one.ra_deg, one.dec_deg) for one in known])
    motion = np.array([(one.pm_ra_mas or 0.0, one.pm_dec_mas or 0.0) for one in known])
    epoch, jd = np.full(len(known), EPOCH_OF_NAMES), observation.night.toordinal() + JD_OF_DAY_0
    away = separation_arcsec(moved(places, motion[:, 0], motion[:, 1], epoch, jd), np.array([radec]))
    near = np.flatnonzero(away <= sky_tolerance(session, observation)).tolist()
    named = [(known[number].origin != "user", float(away[number]), known[number].shown_name) for number in near]
    return min(named)[2] if named else None


def _airmass(session: Session, curve: LightCurve) -> Mapping[int, float]:
    """By calibrated image: the star's own where its place and the site are known, else its field's centre's."""
    star, images = curve.source, np.unique(np.asarray(curve.table["image_id"])).tolist()
    rows = session.execute(
        select(Frame.image_id, Frame.jd_utc, Frame.airmass).where(
            Frame.graph_pid == curve.observation.graph_pid, Frame.image_id.in_(images)
        )
    ).all()
    site = session.scalar(
        select(ObsSite)
        .join(Observation, Observation.obs_site_id == ObsSite.obs_site_id)
        .where(Observation.observation_id == curve.observation.observation_id)
    )
    placed = site is not None and site.longitude_deg is not None and site.latitude_deg is not None
    if not placed or star.ra_deg is None or star.dec_deg is None:
        return {row.image_id: row.airmass for row in rows if row.airmass is not None}
    assert site is not None
    timed = [row for row in rows if row.jd_utc is not None]
    location = (site.longitude_deg or 0.0, site.latitude_deg or 0.0, site.elevation_m or 0.0)
    altitude, _ = altitude_azimuth(np.array([row.jd_utc for row in timed]), star.ra_deg, star.dec_deg, location)
    return dict(zip((row.image_id for row in timed), airmass(altitude).tolist(), strict=True))


def _beside(session: Session, curve: LightCurve, images: Sequence[int]) -> tuple[Comparison | None, Comparison | None]:
    """The comparison star where there is only one, and the first check star."""
    [aperture] = curve.radii
    rows = session.execute(
        select(ReferenceStar.source_id, ReferenceStar.is_reference, ReferenceStar.role)
        .where(
            ReferenceStar.pid == curve.observation.calibration_pid,
            ReferenceStar.aperture == aperture,
            ReferenceStar.source_id != curve.source.source_id,
        )
        .order_by(ReferenceStar.source_id)
    ).all()
    references = [row.source_id for row in rows if row.is_reference]
    checks = [row.source_id for row in rows if row.role == "check" and not row.is_reference]
    one = _labelled(session, curve, references[0], aperture, images) if len(references) == 1 else None
    return one, _labelled(session, curve, checks[0], aperture, images) if checks else None


def _labelled(session: Session, curve: LightCurve, source_id: int, aperture: int, images: Sequence[int]) -> Comparison:
    """A star's label, which is its name or its place, and its instrumental magnitudes."""
    star = find_source(session, curve.observation, source_id=source_id)
    label = f"source {source_id}"
    if star.ra_deg is not None and star.dec_deg is not None:
        radec = (star.ra_deg, star.dec_deg)
        label = _named_at(session, curve.observation, radec) or f"{radec[0]:.5f}{radec[1]:+.5f}"
    flux, _, _ = flux_matrix(session, aperture, np.array([source_id]), np.array(images))
    return Comparison(
        label[:LABEL_LENGTH],
        {
            image: float(-2.5 * np.log10(value))
            for image, value in zip(images, np.ravel(flux).tolist(), strict=True)
            if value > 0
        },
    )
