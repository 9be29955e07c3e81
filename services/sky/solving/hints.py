"""Where a field is roughly, and how large its pixels are: from the operator, from headers, or from an earlier night."""

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace

from sqlalchemy import select
from sqlalchemy.orm import Session

from pipeline.sky.astrometry.sky_wcs import SkyWcs
from schema.observing import Observation, ToldPlace
from schema.skies import PlateSolution
from services.choices import Choices
from services.frame_geometry import PLANE, PLANE_STEP, is_plane
from services.star_names import place_on_sky

SET_TOLERANCE = 0.1  # relative, of a pixel scale that somebody wrote down
HEADER_TOLERANCE = 0.1  # a focal length and a pixel size, both rounded
SOLVED_TOLERANCE = 0.03  # the same camera and binning: the focus moves, the optics stay
CLAIMED_TOLERANCE = 0.03  # of a header's WCS: somebody's solution, or a nominal scale
CLAIMED_RADIUS_DEG = 0.5  # beyond the field's own radius: a header's WCS may be that of where the mount wanted to be
WIDER_RADIUS = 5.0  # times as far from the pointing, for a telescope whose mount has lost its way
WIDER_SCALE = 2.5  # times smaller or larger than the hint: a forgotten binning, a reducer
BLIND_SCALE_ARCSEC = (0.1, 60.0)  # of any camera with which one measures stars
WHOLE_SKY_DEG = 180.0


@dataclass(frozen=True)
class Try:
    """What one search believes. place: (ra, dec, radius), degrees, or None; scale_arcsec: least and greatest."""

    place: tuple[float, float, float] | None
    scale_arcsec: tuple[float, float]

    @property
    def scale_guess(self) -> float | None:
        """Between the two; None where anything is possible."""
        return None if self.scale_arcsec == BLIND_SCALE_ARCSEC else math.sqrt(math.prod(self.scale_arcsec))

    def __str__(self) -> str:
        where = "on the whole sky"
        if self.place is not None:
            ra, dec, radius = self.place
            where = f"within {radius:.3g} degrees of {ra:.4f} {dec:+.4f}"
        return f"{where}, {self.scale_arcsec[0]:.3g} to {self.scale_arcsec[1]:.3g} arcsec a pixel"


@dataclass(frozen=True)
class Claim:
    """A WCS of the template's pixels that nobody has verified; shape: (ny, nx); origin: the file that has it."""

    wcs: SkyWcs
    shape: tuple[int, int]
    origin: str

    def narrowed(self) -> Try:
        """Where and at which scale it is to be looked for, if it is about true."""
        scale, factor = self.wcs.pixel_scale(self.shape), 1.0 + CLAIMED_TOLERANCE
        radius = min(self.wcs.radius(self.shape) + CLAIMED_RADIUS_DEG, WHOLE_SKY_DEG)
        return Try((*self.wcs.centre(self.shape), radius), (scale / factor, scale * factor))


@dataclass(frozen=True)
class Hints:
    """What is believed before solving; None where nobody says. None of it is relied on."""

    place: tuple[float, float] | None = None  # ra, dec, degrees
    place_origin: str = ""
    radius_deg: float = 3.0
    scale_arcsec: float | None = None
    scale_origin: str = ""
    scale_tolerance: float = SET_TOLERANCE  # relative
    claim: "Claim | None" = None  # a WCS in the headers
    other_places: tuple[tuple[float, float, str], ...] = ()  # ra, dec (degrees) and origin of what contradicts `place`

    def tries(self) -> Iterator[Try]:
        """As the headers' WCS claims, as believed, then less so, then blindly."""
        blind = Try(None, BLIND_SCALE_ARCSEC)
        if self.claim is not None:
            yield self.claim.narrowed()
        believed = self._try(self.radius_deg, 1.0 + self.scale_tolerance)
        if believed != blind:
            yield believed
            for ra, dec, _ in self.other_places:
                yield replace(believed, place=(ra, dec, self.radius_deg))
            yield self._try(min(WIDER_RADIUS * self.radius_deg, WHOLE_SKY_DEG), WIDER_SCALE)
        yield blind

    def near(self, radius_deg: float) -> "Iterator[Try]":
        """Each place, as if it were told better than it is."""
        here = self._try(radius_deg, 1.0 + self.scale_tolerance)
        yield here
        for ra, dec, _ in self.other_places:
            yield replace(here, place=(ra, dec, radius_deg))

    def _try(self, radius_deg: float, factor: float) -> Try:
        place = None if self.place is None else (*self.place, radius_deg)
        scale = self.scale_arcsec
        return Try(place, BLIND_SCALE_ARCSEC if scale is None else (scale / factor, scale * factor))

    def __str__(self) -> str:
        told = []
        if self.place is not None:
            told.append(f"pointing {self.place[0]:.4f} {self.place[1]:+.4f} ({self.place_origin})")
        told += [f"pointing {ra:.4f} {dec:+.4f} ({origin})" for ra, dec, origin in self.other_places]
        if self.scale_arcsec is not None:
            told.append(f"{self.scale_arcsec:.4g} arcsec a pixel ({self.scale_origin})")
        if self.claim is not None:
            told.append(f"the WCS in the header of {self.claim.origin}, which is a hint until stars confirm it")
        return " and ".join(told) or "no pointing and no pixel scale"


def hints_of(session: Session, observation_id: int | None, choices: Choices) -> Hints:
    """The operator's word first, then that of the observation's headers, then the latest solution of its camera."""
    observation = session.get_one(Observation, observation_id)
    place, place_origin = None, ""
    others: tuple[tuple[float, float, str], ...] = ()
    if choices.solve_radec is not None:
        place, place_origin = place_on_sky(choices.solve_radec), "setting solve_radec"
    elif observation.ra_deg is not None and observation.dec_deg is not None:
        place, place_origin = (observation.ra_deg, observation.dec_deg), "headers"
        others = _other_places(session, observation.observation_id)
    scale, scale_origin, tolerance = _scale(session, observation, choices)
    told = Hints(place, place_origin, choices.solve_radius_deg, scale, scale_origin, tolerance)
    return replace(told, other_places=others)


def _other_places(session: Session, observation_id: int) -> tuple[tuple[float, float, str], ...]:
    told = select(ToldPlace).where(ToldPlace.observation_id == observation_id, ToldPlace.number > 0)
    rows = session.scalars(told.order_by(ToldPlace.number))
    return tuple((row.ra_deg, row.dec_deg, row.told_by) for row in rows)


def with_claim(hints: Hints, claim: Claim | None) -> Hints:
    """The hints with a header's WCS, which also says what nobody else did: where, and how large pixels are."""
    if claim is None:
        return hints
    told = replace(hints, claim=claim)
    if hints.place is None:
        told = replace(told, place=claim.wcs.centre(claim.shape), place_origin="the header's WCS")
    if hints.scale_arcsec is None:
        scale = claim.wcs.pixel_scale(claim.shape)
        told = replace(told, scale_arcsec=scale, scale_origin="the header's WCS", scale_tolerance=HEADER_TOLERANCE)
    return told


def _scale(session: Session, observation: Observation, choices: Choices) -> tuple[float | None, str, float]:
    step = PLANE_STEP if is_plane(observation.geometry) else 1
    if choices.pixel_scale_arcsec is not None:
        return step * choices.pixel_scale_arcsec, "setting pixel_scale_arcsec", SET_TOLERANCE
    if observation.pixel_scale_arcsec is not None:
        return observation.pixel_scale_arcsec, "headers", HEADER_TOLERANCE
    solved = session.scalar(
        select(PlateSolution.pixel_scale_arcsec)
        .join(Observation, Observation.observation_id == PlateSolution.observation_id)
        .where(
            PlateSolution.solved,
            Observation.instrument_id == observation.instrument_id,
            Observation.binning == observation.binning,
            Observation.geometry.contains(PLANE) == is_plane(observation.geometry),
        )
        .order_by(PlateSolution.pid.desc())
        .limit(1)
    )
    return solved, "an earlier solution of the same camera", SOLVED_TOLERANCE
