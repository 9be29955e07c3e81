"""Which star is meant: by source id, by Gaia's number, by name, or by a place on the sky."""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import date
from typing import Any

import numpy as np
from astropy import units as u
from astropy.coordinates import SkyCoord

from tianyu.asking import Asked
from tianyu.errors import NotFoundError
from tianyu.sky_cells import cells_of_circles

Observations = Mapping[int, Mapping[str, Any]]
Target = int | str | tuple[float, float] | SkyCoord
IDS_A_QUERY = 1000
TOLERANCE_ARCSEC = 5.0
GAIA = re.compile(r"\s*gaia\s*(?:e?dr\d)?\s*(\d{5,20})\s*", re.IGNORECASE | re.ASCII)
PLACE = re.compile(r"\s*(\d{1,2}:\d{1,2}:[\d.]+)[\s,]+([+-]?\d{1,2}:\d{1,2}:[\d.]+)\s*", re.ASCII)
DEGREES = re.compile(r"\s*([\d.]+)d?\s*,\s*([+-]?[\d.]+)d?\s*", re.ASCII)

PIXELS = re.compile(r"\s*([\d.]+)px\s*,\s*([\d.]+)px\s*", re.ASCII)
TOLERANCE_PX = 5.0
PLACES_AT_ONCE = 2000


def sources_of(
    asked: Asked, targets: Sequence[Target], within_arcsec: float, observations: Observations
) -> tuple[list[list[int]], dict[int, str]]:
    """Ids of all sources that are each target, and why there are none, by place in the list; a few queries for all.

    Args:
        asked: where the answers come from.
        targets: source ids; names, ``Gaia DR3 NUMBER``, ``hh:mm:ss,+dd:mm:ss``, ``RA,Dec`` in degrees or
            ``424px,286px`` (of the first observation's first frame, from 0); pairs (right ascension, declination) in
            degrees; or `SkyCoord`.
        within_arcsec: how far from a place its source may lie.
        observations: that are looked at, by id, in order of time.
    """
    search = _Search(asked, targets)
    when = _middle_night(observations)
    numbers: dict[int, int] = {}
    places: dict[int, SkyCoord] = {}
    names: dict[int, str] = {}
    for i, target in enumerate(targets):
        with search.of(i):
            if isinstance(target, (int, np.integer)):
                search.found[i] = {int(target)}
            elif isinstance(target, str) and (gaia := GAIA.fullmatch(target)):
                numbers[i] = int(gaia[1])
            elif isinstance(target, str) and (xy := PIXELS.fullmatch(target)):
                first = next(iter(observations), 0)
                search.found[i] = {_at_pixels(asked, first, float(xy[1]), float(xy[2]), TOLERANCE_PX, target)}
            elif (place := place_of(target)) is not None:
                places[i] = place
            elif (chosen := _chosen_target(asked, name := bare_name(str(target)), observations)) is not None:
                search.found[i] = {chosen}
            else:
                names[i] = name
    search.gaia(numbers)
    search.places(places | search.names(names, when), within_arcsec)
    return search.whole_stars(), search.lost


class _Search:
    """What is found of a list of stars, and of which nothing is, by place in the list."""

    def __init__(self, asked: Asked, targets: Sequence[Target]) -> None:
        self._asked, self._targets = asked, targets
        self.found: dict[int, set[int]] = {}
        self.lost: dict[int, str] = {}

    @contextmanager
    def of(self, i: int) -> Iterator[None]:
        """Look for one star: an error is why it is not found."""
        try:
            yield
        except NotFoundError as error:
            self.lost[i] = str(error)

    def gaia(self, numbers: Mapping[int, int]) -> None:
        """Stars by Gaia's numbers."""
        matched: dict[int, set[int]] = {}
        for part in chunks(sorted(set(numbers.values()))):
            for number, source_id in self._asked.rows("gaia", numbers=part)[1]:
                matched.setdefault(number, set()).add(source_id)
        for i, number in numbers.items():
            if number in matched:
                self.found[i] = matched[number]
            else:
                self.lost[i] = (
                    f"no source is matched to {self._targets[i]!r}: are the fields solved, and a catalogue given?"
                )

    def names(self, names: Mapping[int, str], when: date | None) -> dict[int, SkyCoord]:
        """Where the stars are that the database knows by name."""
        known: dict[str, Any] = {}
        for part in chunks(sorted(set(names.values()))):
            known |= {row.name: row for row in self._asked.rows("names", names=part)[1]}
        for i in names.keys() - {i for i, name in names.items() if name in known}:
            target = self._targets[i]
            self.lost[i] = (
                f"the database does not know the name {target!r}: give its place, as in "
                f"light_curve(SkyCoord.from_name({target!r})), or tell it by `tianyu target add`"
            )
        return {i: _moved(known[name], when) for i, name in names.items() if name in known}

    def places(self, places: Mapping[int, SkyCoord], within_arcsec: float) -> None:
        """Stars by their places on the sky."""
        if not places:
            return
        if not self._asked.rows("is_solved")[1]:
            why = "no field is solved: choose stars by their source ids (view source_place has their pixels)"
            self.lost |= dict.fromkeys(places, why)
            return
        for part in chunks(list(places), PLACES_AT_ONCE):
            self._places({i: places[i] for i in part}, within_arcsec)

    def _places(self, places: Mapping[int, SkyCoord], within_arcsec: float) -> None:
        wanted = SkyCoord([place.ra for place in places.values()], [place.dec for place in places.values()])
        cells = cells_of_circles(wanted.ra.deg, wanted.dec.deg, within_arcsec).tolist()
        rows = [row for part in chunks(cells) for row in self._asked.rows("sources_in_cells", cells=part)[1]]
        if not rows:
            self.lost |= {i: self._nothing_near(i, place, within_arcsec) for i, place in places.items()}
            return
        numbers, ra, dec = (np.array(values) for values in zip(*rows, strict=True))
        nearest, distance, _ = wanted.match_to_catalog_sky(SkyCoord(ra, dec, unit="deg"))
        for i, place, away, index in zip(places, wanted, distance.arcsec, nearest, strict=True):
            if away <= within_arcsec:
                self.found[i] = {int(numbers[index])}
            else:
                self.lost[i] = self._nothing_near(i, place, within_arcsec)

    def _nothing_near(self, i: int, place: SkyCoord, within_arcsec: float) -> str:
        return (
            f"no source lies within {within_arcsec:g} arcsec of {self._targets[i]!r} ({place.to_string('decimal')}): "
            "flux there is measured where `tianyu publish --forced` asks for it (`forced` reads it)"
        )

    def whole_stars(self) -> list[list[int]]:
        """All ids of each star: it may have been measured by two before its coordinates were known."""
        own: dict[int, int] = {}
        for part in chunks(sorted(set().union(*self.found.values()))):
            own |= {row.source_id: row.same_as or row.source_id for row in self._asked.rows("stars", ids=part)[1]}
        for part in chunks(sorted(set(own.values()))):
            own |= {row.source_id: row.same_as or row.source_id for row in self._asked.rows("stars", ids=part)[1]}
        stars: dict[int, list[int]] = {}
        for source_id, star in sorted(own.items()):
            stars.setdefault(star, []).append(source_id)
        for i, ids in list(self.found.items()):
            if missing := ids - own.keys():
                self.lost[i] = (
                    f"there is no source {min(missing)} ({self._targets[i]!r}): view source_catalog lists all"
                )
                del self.found[i]
        return [
            sorted({one for source_id in self.found.get(i, ()) for one in stars[own[source_id]]})
            for i in range(len(self._targets))
        ]


def bare_name(name: str) -> str:
    return " ".join(name.split()).lower()


def _middle_night(observations: Observations) -> date | None:
    nights = sorted(row["night"] for row in observations.values())
    return date.fromisoformat(nights[len(nights) // 2]) if nights else None


def _chosen_target(asked: Asked, name: str, observations: Observations) -> int | None:
    """The star that was named by its pixels when the target of this name was reduced; None where there is none."""
    for number, row in observations.items():
        choices = json.loads(row["choices"]) if row["choices"] else {}
        pixels = re.fullmatch(r"([\d.]+),([\d.]+)", next(iter(choices.get("manual_targets", ())), ""))
        if pixels and bare_name(row["target"]) == name:
            tolerance = choices.get("manual_match_px", TOLERANCE_PX)
            return _at_pixels(asked, number, float(pixels[1]), float(pixels[2]), tolerance, row["target"])
    return None


def _at_pixels(asked: Asked, observation: int, x: float, y: float, tolerance: float, target: str) -> int:
    """The source nearest to pixels of an observation's first frame."""
    rows = asked.rows("places", observation=observation)[1]
    if not rows:
        raise NotFoundError(f"{target!r}: observation {observation} has no sources yet")
    numbers, xs, ys = (np.array(values, dtype=np.float64) for values in zip(*rows, strict=True))
    away = np.hypot(xs - x, ys - y)
    nearest = int(np.argmin(away))
    if away[nearest] > tolerance:
        raise NotFoundError(
            f"{target!r}: observation {observation} has no source within {tolerance:g} px of ({x:g}, {y:g}); the "
            f"nearest, source {numbers[nearest]:.0f}, is {away[nearest]:.1f} px away"
        )
    return int(numbers[nearest])


def place_of(target: Any) -> Any:
    """A place on the sky; None for a text that is none."""
    try:
        if isinstance(target, SkyCoord):
            return target.icrs
        if isinstance(target, str):
            if found := PLACE.fullmatch(target):
                return SkyCoord(found[1], found[2], unit=("hourangle", "deg"))
            if found := DEGREES.fullmatch(target):
                return SkyCoord(float(found[1]), float(found[2]), unit="deg")
            return None
        ra, dec = target
        if isinstance(ra, str):
            return SkyCoord(ra, dec, unit=("hourangle" if ":" in ra else "deg", "deg"))
        return SkyCoord(u.Quantity(ra, "deg"), u.Quantity(dec, "deg"))
    except (TypeError, ValueError) as error:
        raise NotFoundError(
            f"{target!r} names no star: expected a source id, a name, 'Gaia DR3 NUMBER', a pair (RA, Dec) in degrees "
            f"or a SkyCoord ({error})"
        ) from error


def _moved(row: Any, when: date | None) -> SkyCoord:
    """Where a named star is in a night, by its proper motion since 2000."""
    years = 0.0 if when is None or row.pm_ra_mas is None or row.pm_dec_mas is None else when.year - 2000.0
    dec = row.dec_deg + years * (row.pm_dec_mas or 0.0) / 3.6e6
    ra = row.ra_deg + years * (row.pm_ra_mas or 0.0) / 3.6e6 / max(np.cos(np.radians(dec)), 1e-6)
    return SkyCoord(ra % 360.0, dec, unit="deg")


def chunks(values: Sequence[Any], size: int = IDS_A_QUERY) -> list[list[Any]]:
    """Parts of a list that a statement can hold."""
    return [list(values[start : start + size]) for start in range(0, len(values), size)]
