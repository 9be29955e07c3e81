"""Solve a field: quickly by the index files, then by the catalogue around the pointing, then long by the index files.

The first that finds a match ends the search. The WCS is always a fit of our own to the stars that were matched: those
of the catalogue where it can be had, as its positions are better than an index's and of the epoch, else the index's.
"""

import time
from collections.abc import Iterator
from dataclasses import dataclass, replace

from pipeline.errors import UnusableDataError
from services.catalogue import CatalogueOutage
from services.errors import TransientError
from services.log import get_logger
from services.solving.catalogue_solver import fit_to_catalogue, search_catalogue
from services.solving.hints import Hints, Try
from services.solving.index_files import IndexFile, of_region, suitable
from services.solving.index_solver import IndexMatch, OutOfTime, Question, SearchFailed, search_indexes
from services.solving.solution import Field, Solution, Unsolved
from services.solving.solvers import Solvers

log = get_logger("solving")
NEAR_DEG = 0.5  # pointing errors of most mounts, and what a cache holds around a target; asked before degrees are
# Searches that match take 0.4 s, also without any hint; those that do not take 14 s (3 degrees, scale to 10 %), 37 s
# (15 degrees, scale to a factor of 2.5) or minutes. So a wrong hint is not followed to its end at first.
QUICK_S = 5.0
QUICK_SHARE = 0.1  # of the time limit, at most


def solve_field(
    field: Field, hints: Hints, solvers: Solvers, *, time_limit_s: float, mag_limit: float
) -> Solution | Unsolved:
    """Find where the field is.

    time_limit_s: of all searches among index files; mag_limit: G of the catalogue's faintest stars.

    Raises:
        TransientError: nothing matched, and the catalogue could not be asked: it may know.
        ConfigurationError: the catalogue's file cannot be used.
    """
    return _Search(field, hints, solvers, time.monotonic() + time_limit_s, time_limit_s, mag_limit).run()


@dataclass
class _Search:
    field: Field
    hints: Hints
    solvers: Solvers
    deadline: float
    time_limit_s: float
    mag_limit: float

    def __post_init__(self) -> None:
        self.tried: dict[str, str] = {}  # what came of it, by what was searched
        self.unfinished = list(self.hints.tries()) if self.solvers.index_files else []
        self.outage: CatalogueOutage | None = None

    def run(self) -> Solution | Unsolved:
        found = self._by_index(quick=True) or self._by_catalogue() or self._by_index(quick=False)
        if found is not None:
            return found
        reason = self.solvers.reason(self.hints, [f"{what}: {problem}" for what, problem in self.tried.items()])
        if self.outage is not None:
            raise TransientError(f"{reason}; the catalogue will be asked again: {self.outage}") from self.outage
        return Unsolved(reason)

    def _by_index(self, *, quick: bool) -> Solution | None:
        tries, self.unfinished = self.unfinished, []
        for number, one in enumerate(tries):
            files = suitable(self.solvers.index_files, self.field.shape, one.scale_arcsec)
            if one.place is not None:
                ra, dec, radius = one.place
                files = of_region(files, ra, dec, radius + self.field.radius_deg(one.scale_guess))
            if not files:
                self.tried[f"index files {one}"] = "none has patterns of a fitting size"
                continue
            share = max(self.deadline - time.monotonic(), 0.0) / (len(tries) - number)
            found = self._search(files, one, min(QUICK_S, QUICK_SHARE * self.time_limit_s) if quick else share)
            if found is not None:
                return found
        return None

    def _search(self, files: list[IndexFile], one: Try, limit_s: float) -> Solution | None:
        try:
            match = search_indexes(Question(files, one.scale_arcsec, one.place), self.field.xy, limit_s)
            if match is not None:
                return self._fitted(match)
            problem = "no match"
        except (SearchFailed, UnusableDataError) as error:
            problem = str(error)
            if isinstance(error, OutOfTime):
                self.unfinished.append(one)
        self.tried[f"{len(files)} index files {one}"] = problem
        return None

    def _fitted(self, match: IndexMatch) -> Solution:
        """Our own fit to the index's stars, then to the catalogue's."""
        from pipeline.astrometry.fit import refine
        from pipeline.astrometry.sky_wcs import SkyWcs

        field = self.field
        first = SkyWcs.from_cards(match.cards)
        fit = refine(first, field.xy, field.flux, match.radec, match.mag, field.shape)
        log.info("index files match", index=match.index, log_odds=match.log_odds, seconds=match.seconds)
        found = Solution(fit, "index")
        if self.solvers.catalogue is None:
            return found
        try:
            return fit_to_catalogue(field, self.solvers.catalogue, found, self.mag_limit)
        except (CatalogueOutage, UnusableDataError) as error:
            log.warning("the solution rests on the index files alone", reason=str(error))
            return found

    def _by_catalogue(self) -> Solution | None:
        if self.solvers.catalogue is None or self.hints.place is None:
            return None
        for one in self._catalogue_tries():
            try:
                return search_catalogue(self.field, self.solvers.catalogue, one, self.mag_limit)
            except UnusableDataError as error:
                self.tried[f"catalogue {one}"] = str(error)
            except CatalogueOutage as error:
                self.tried[f"catalogue {one}"] = str(error)
                self.outage = error
                break  # the others would fail alike
        return None

    def _catalogue_tries(self) -> Iterator[Try]:
        """As believed but for a small error of the pointing; then as believed, and wider."""
        placed = [one for one in self.hints.tries() if one.place is not None]
        assert placed[0].place is not None
        ra, dec, radius = placed[0].place
        if radius > NEAR_DEG:
            yield replace(placed[0], place=(ra, dec, NEAR_DEG))
        yield from placed
