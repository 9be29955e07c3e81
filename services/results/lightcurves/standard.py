"""Standard magnitudes of one star: its light curve in a standard band, and the colour curve of two filters."""

from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
from astropy.table import MaskedColumn, Table
from numpy.typing import NDArray
from sqlalchemy import select
from sqlalchemy.orm import Session

from pipeline.errors import UnusableDataError
from pipeline.zero_points import (
    ColourCurve,
    Points,
    Standard,
    StandardFlag,
    Transformation,
    colour_curve,
    field_terms,
    points_of,
    two_filter_curve,
    with_catalogue_colour,
)
from schema.photometry import StandardTransformation, StandardZeroPoint, ZeroPointStar
from services.errors import ConfigurationError, DataError
from services.results.lightcurves.reading import LightCurve
from services.results.lightcurves.zero_points import zero_point_pid

FIELD = ("field_u", "field_v", "field_uu", "field_uv", "field_vv")
PAN_STARRS_ORIGIN = "table-ps1"
# In the words of exports: where the magnitudes of the stars come from that the transformation rests on.
ORIGINS = {
    "relation": "Gaia DR3 G, BP and RP by the relations of Gaia DR3 documentation 5.5.1",
    "synthetic": "Gaia DR3 synthetic photometry (GSPC)",
    "table": "a table of standard stars",
    PAN_STARRS_ORIGIN: "a table of standard stars in the Pan-STARRS system",
}
SYSTEMS = {
    **dict.fromkeys(("B", "V", "Rc", "Ic"), "Johnson-Cousins, Vega"),
    **dict.fromkeys(("g", "r", "i", "z"), "SDSS, AB"),
}


def system_of(band: str, origin: str) -> str:
    """The photometric system in which magnitudes of a band are, by where those of the standard stars come from."""
    return "Pan-STARRS, AB" if origin == PAN_STARRS_ORIGIN else SYSTEMS[band]


Floats = NDArray[np.float64]
ColourFrom = Literal["catalogue", "filters"]


@dataclass(frozen=True)
class Facts:
    """The transformation of a night in one filter and aperture, as its row tells it."""

    by: Transformation
    origin: str
    systematic: float | None  # mag
    scatter: float  # mag
    stars: int

    def statement(self, filter_name: str) -> str:
        """One line that says how magnitudes came to be, for exports."""
        by = self.by
        wrong = "unknown" if self.systematic is None else f"{self.systematic:.3f} mag"
        named = f"{by.band} ({system_of(by.band, self.origin)})"
        return (
            f"{named} from filter {filter_name or 'unnamed'}: {by.band} = ZP - 2.5 log10(flux) "
            f"{by.colour_term:+.4f} (+-{by.colour_term_error:.4f}) (BP-RP {-by.colour_reference:+.4f}), "
            f"{by.colour_low:.2f} <= BP-RP <= {by.colour_high:.2f}, by {self.stars} stars with {ORIGINS[self.origin]}; "
            f"systematic error of these {wrong}; no second-order extinction"
        )


@dataclass(frozen=True)
class StandardCurve:
    """A star in a standard band; ``points`` are those of its light curve, ``[t]`` in the same order."""

    curve: LightCurve
    facts: Facts
    colour: float  # BP - RP of the catalogue; NaN where it has none
    colour_error: float
    points: Points
    standard: Standard

    @property
    def statement(self) -> str:
        """How the magnitudes came to be."""
        return self.facts.statement(self.curve.observation.filter)

    @property
    def refusal(self) -> str | None:
        """Why there is no magnitude at all; None where there are some."""
        if np.isfinite(self.standard.magnitude).any():
            return None
        by, flags = self.facts.by, int(np.bitwise_or.reduce(self.standard.flag, initial=0))
        if flags & StandardFlag.NO_COLOUR:
            return "Gaia has no BP-RP of this star, so that nothing tells its colour"
        if flags & StandardFlag.OUTSIDE_COLOURS:
            return (
                f"its BP-RP, {self.colour:.2f}, is outside {by.colour_low:.2f} to {by.colour_high:.2f}, the colours of "
                "the stars that the transformation rests on"
            )
        return "no point has a positive flux on a frame with a zero point"

    def table(self) -> Table:
        """The light curve with columns of standard magnitudes; their errors and their flag are explained in it."""
        table: Table = self.curve.table.copy()
        for name, values, description in (
            (
                "mag_standard",
                self.standard.magnitude,
                f"{self.facts.by.band}, {system_of(self.facts.by.band, self.facts.origin)}",
            ),
            ("mag_standard_noise", self.standard.noise, "photon noise of mag_standard"),
            (
                "mag_standard_error",
                self.standard.error,
                "error of mag_standard: noise, zero point, colour, colour term",
            ),
            ("mag_standard_systematic", _many(self.facts.systematic, len(table)), "error that all points share"),
        ):
            table[name] = MaskedColumn(values, mask=~np.isfinite(values), unit="mag", description=description)
        table["mag_standard_flag"] = MaskedColumn(
            self.standard.flag, description="why none: 1 no colour, 2 colour out of range, 4 no flux or zero point"
        )
        table.meta = {**self.curve.table.meta, "band": self.facts.by.band, "transformation": self.statement}
        return table


@dataclass(frozen=True)
class Colours:
    """The colour curve of a star: ``curve`` at the points of the first, which are usable in both."""

    first: StandardCurve
    second: StandardCurve
    curve: ColourCurve
    colour_from: ColourFrom
    time: Floats  # [t], BJD (TDB)

    @property
    def index_name(self) -> str:
        """Such as B-V."""
        return f"{self.first.facts.by.band}-{self.second.facts.by.band}"

    def table(self) -> Table:
        """One row a point of the first filter."""
        result = Table()
        names = [(one.facts.by.band, one.facts.origin) for one in (self.first, self.second)]
        columns: list[tuple[str, Floats, str | None, str]] = [
            ("bjd_tdb", self.time, "d", "of the first filter's point")
        ]
        for (band, origin), standard in zip(names, (self.curve.first, self.curve.second), strict=True):
            columns += [
                (f"mag_{band}", standard.magnitude, "mag", system_of(band, origin)),
                (f"mag_{band}_noise", standard.noise, "mag", "photon noise"),
                (f"mag_{band}_error", standard.error, "mag", "noise, zero point, colour and colour term"),
            ]
        index = self.index_name
        columns += [
            ("colour_index", self.curve.index, "mag", index),
            ("colour_index_noise", self.curve.index_noise, "mag", f"photon noise of {index}"),
            ("colour_index_error", self.curve.index_error, "mag", f"error of {index}"),
            ("bp_rp", self.curve.first.colour, "mag", f"BP-RP that was used, from the {self.colour_from}"),
        ]
        for name, values, unit, description in columns:
            result[name] = MaskedColumn(values, mask=~np.isfinite(values), unit=unit, description=description)
        result["flag"] = MaskedColumn(
            self.curve.first.flag | self.curve.second.flag,
            description="why none: 1 no colour or no point of the second filter near, 2 colour out of range, 4 no flux",
        )
        result.meta = {
            "source": self.first.curve.source.source_id,
            "observations": f"{self.first.curve.observation.observation_id} "
            f"{self.second.curve.observation.observation_id}",
            "first": self.first.statement,
            "second": self.second.statement,
        }
        return result


def transformations(session: Session, curve: LightCurve) -> dict[int, Facts]:
    """Those of a light curve's night that the views show, by aperture; empty where there are none."""
    query = select(StandardTransformation).where(
        StandardTransformation.pid == zero_point_pid(session, curve.observation)
    )
    return {
        row.aperture: Facts(
            Transformation(
                row.band,
                row.colour_term,
                row.colour_term_error,
                row.colour_reference,
                row.colour_low,
                row.colour_high,
            ),
            row.origin,
            row.systematic,
            row.scatter,
            row.stars,
        )
        for row in session.scalars(query)
    }


def standard_curve(session: Session, curve: LightCurve) -> StandardCurve | None:
    """A light curve of one aperture in its filter's standard band; None where the night has no transformation.

    Points of a star without a colour, or with one that the transformation does not hold for, have no magnitude and say
    so by their flag.

    Raises:
        ConfigurationError: points of several apertures.
    """
    apertures = np.unique(curve.values("aperture")).astype(int).tolist()
    if len(apertures) != 1:
        raise ConfigurationError(f"standard magnitudes of {len(apertures)} apertures at once: choose one")
    [aperture] = apertures
    facts = transformations(session, curve).get(aperture)
    if facts is None:
        return None
    pid = zero_point_pid(session, curve.observation)
    star = session.get(ZeroPointStar, (pid, curve.source.source_id))
    rows = session.scalars(
        select(StandardZeroPoint).where(StandardZeroPoint.pid == pid, StandardZeroPoint.aperture == aperture)
    ).all()
    row_of = {row.image_id: row for row in rows}
    zero_point, error = np.full((2, len(curve.table)), np.nan)
    if star is not None:
        terms = field_terms(np.array([star.u]), np.array([star.v]))[0]
        for index, image_id in enumerate(curve.values("image_id").tolist()):
            if (row := row_of.get(int(image_id))) is not None:
                zero_point[index] = row.zero_point + float(terms @ np.array([getattr(row, name) for name in FIELD]))
                error[index] = row.zero_point_error
    known = star is not None and bool(star.colour_known)
    colour, colour_error = (star.colour, star.colour_error) if star is not None and known else (np.nan, np.nan)
    points = points_of(curve.bjd, curve.values("flux_raw"), curve.values("flux_raw_error"), zero_point, error)
    standard = with_catalogue_colour(points, facts.by, colour, colour_error)
    return StandardCurve(curve, facts, colour, colour_error, points, standard)


def required_curve(session: Session, curve: LightCurve) -> StandardCurve:
    """The same, or an error that says why there is none.

    Raises:
        DataError: the night has no transformation.
    """
    found = standard_curve(session, curve)
    if found is None:
        facts = curve.observation
        raise DataError(
            f"observation {facts.observation_id} ({facts.title}) has no standard magnitudes in this aperture: its "
            f"filter {facts.filter or 'without a name'} has no standard band (setting standard_bands, such as "
            f'"{facts.filter or "FILTER"}=V"), its stars are not matched to Gaia, or it was reduced before; '
            f"`tianyu rerun --from zero_point {facts.observation_id}` makes them"
        )
    return found


def colours(first: StandardCurve, second: StandardCurve, colour_from: ColourFrom, longest_gap_d: float) -> Colours:
    """The colour curve at the usable points of the first, the second interpolated in time.

    Raises:
        ConfigurationError: both are in one band, or colours of their systems are not told.
        DataError: the filters cannot tell a colour.
    """
    if first.facts.by.band == second.facts.by.band:
        raise ConfigurationError(
            f"both observations are in band {first.facts.by.band}: a colour needs two, of different filters"
        )
    usable = first.curve.usable & np.isfinite(first.points.time)
    points = _some(first.points, usable)
    other = _some(second.points, second.curve.usable)
    if colour_from == "catalogue":
        colour, error = first.colour, first.colour_error
        curve = colour_curve(points, first.facts.by, other, second.facts.by, colour, error, longest_gap_d)
    else:
        if any(one.facts.origin == PAN_STARRS_ORIGIN for one in (first, second)):
            raise ConfigurationError(
                "the relations that tell a colour by two filters are of SDSS, and a night's standard stars are in the "
                "Pan-STARRS system: take the catalogue's colour"
            )
        try:
            curve = two_filter_curve(points, first.facts.by, other, second.facts.by, longest_gap_d)
        except UnusableDataError as error:
            raise DataError(f"source {first.curve.source.source_id}: {error}") from error
    return Colours(first, second, curve, colour_from, points.time)


def to_json(star: StandardCurve) -> dict[str, Any]:
    """The transformation and a summary of the star's magnitudes: numbers and texts only."""
    good = star.curve.usable & np.isfinite(star.standard.magnitude)
    magnitude, error = star.standard.magnitude[good], star.standard.error[good]
    facts, by = star.facts, star.facts.by
    return {
        "observation_id": star.curve.observation.observation_id,
        "source_id": star.curve.source.source_id,
        "filter": star.curve.observation.filter,
        "band": by.band,
        "origin": facts.origin,
        "stars": facts.stars,
        "colour_term": by.colour_term,
        "colour_term_error": by.colour_term_error,
        "colour_reference": by.colour_reference,
        "colour_low": by.colour_low,
        "colour_high": by.colour_high,
        "scatter": facts.scatter,
        "systematic": facts.systematic,
        "bp_rp": None if np.isnan(star.colour) else star.colour,
        "points": int(good.sum()),
        "magnitude": float(np.median(magnitude)) if good.any() else None,
        "magnitude_error": float(np.median(error)) if good.any() else None,
        "refusal": star.refusal,
        "statement": star.statement,
    }


def summary(both: Colours) -> dict[str, Any]:
    """The median of the colour curve: numbers and texts only."""
    known = np.isfinite(both.curve.index)
    middle = [
        float(np.median(values[known])) if known.any() else None
        for values in (both.curve.index, both.curve.index_error)
    ]
    return {
        "name": both.index_name,
        "colour_from": both.colour_from,
        "points": int(known.sum()),
        "index": middle[0],
        "error": middle[1],
    }


def _some(points: Points, chosen: NDArray[np.bool_]) -> Points:
    return replace(points, **{name: getattr(points, name)[chosen] for name in ("time", "magnitude", "noise", "error")})


def _many(value: float | None, count: int) -> Floats:
    return np.full(count, np.nan if value is None else value)
