"""Solve a field: by the headers' WCS, by index files, by the catalogue around the pointing.

The first that finds a match ends the search. The WCS is always a fit of our own to the stars that were matched: those
of the catalogue where it can be had, as its positions are better than an index's and of the epoch, else the index's.
"""

import resource
from collections.abc import Iterator
from dataclasses import dataclass, replace

from pipeline.errors import UnusableDataError
from services.errors import TransientError
from services.log import get_logger
from services.sky.catalogue import CatalogueOutage
from services.sky.solving.catalogue_solver import confirm_claim, fit_to_catalogue, search_catalogue
from services.sky.solving.hints import Hints, Try
from services.sky.solving.index_files import of_region, suitable
from services.sky.solving.index_solver import IndexMatch, Question, SearchFailed, search_indexes
from services.sky.solving.solution import Field, Solution, Unsolved
from services.sky.solving.solvers import Solvers

log = get_logger("solving")
NEAR_DEG = 0.5  # pointing errors of most mounts, and what a cache holds around a target; asked before degrees are
# Searches that match take 0.4 s, also without any hint; those that do not take 14 s (3 degrees, scale to 10 %), 37 s
# (15 degrees, scale to a factor of 2.5) or minutes. So measuring does not wait for the end of those.
AT_ONCE_S = 6.0  # of the processor, of all searches among index files for which measuring waits


def solve_at_once(field: Field, hints: Hints, solvers: Solvers, mag_limit: float) -> Solution | Unsolved:
    """Find where the field is within some seconds, or give up: by the headers' WCS, index files, the catalogue.

    An archive is asked no longer than the one who opened the solvers allows. mag_limit: G of the catalogue's faintest
    stars.

    Raises:
        ConfigurationError: the catalogue's file cannot be used.
    """
    search = _Search(field, hints, solvers, mag_limit)
    return search.by_claim() or search.by_index(AT_ONCE_S, patient=False) or search.by_catalogue() or search.unsolved()


def search_index_files(
    field: Field, hints: Hints, solvers: Solvers, mag_limit: float, time_limit_s: float
) -> Solution | Unsolved:
    """Search among index files for as long as it may take, behind other work of the machine."""
    search = _Search(field, hints, solvers, mag_limit)
    return search.by_index(time_limit_s, patient=True) or search.unsolved()


def ask_catalogue(field: Field, hints: Hints, solvers: Solvers, mag_limit: float) -> Solution | Unsolved:
    """Find the field among the catalogue's stars alone.

    Raises:
        TransientError: nothing matched, and the catalogue could not be asked: it may know.
        ConfigurationError: the catalogue's file cannot be used.
    """
    search = _Search(field, hints, solvers, mag_limit)
    found = search.by_claim() or search.by_catalogue()
    if found is not None:
        return found
    unsolved = search.unsolved()
    if search.outage is not None:
        raise TransientError(
            f"{unsolved.reason}; the catalogue will be asked again: {search.outage}"
        ) from search.outage
    return unsolved


def _processor_s() -> float:
    """Processor time of the searches that this process has started and that have ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


@dataclass
class _Search:
    field: Field
    hints: Hints
    solvers: Solvers
    mag_limit: float

    def __post_init__(self) -> None:
        self.tried: dict[str, str] = {}  # what came of it, by what was searched
        self.outage: CatalogueOutage | None = None

    def unsolved(self) -> Unsolved:
        return Unsolved(self.solvers.reason(self.hints, [f"{what}: {problem}" for what, problem in self.tried.items()]))

    def by_claim(self) -> Solution | None:
        """The headers' WCS, where the catalogue's stars confirm it: without stars it is no more than a hint."""
        claim, catalogue = self.hints.claim, self.solvers.catalogue
        if claim is None or catalogue is None:
            return None
        try:
            return confirm_claim(self.field, catalogue, claim, self.mag_limit)
        except UnusableDataError as error:
            self.tried["the headers' WCS"] = str(error)
        except CatalogueOutage as error:
            self.tried["the headers' WCS"] = f"not verified, {error}"
            self.outage = error
        return None

    def by_index(self, limit_s: float, *, patient: bool) -> Solution | None:
        """Each try gets a part of the time that is left; what ends sooner leaves more to the others.

        In a hurry that is a half, for the first try is the likeliest; else an equal share, for the last is the longest.
        """
        began = _processor_s()
        tries = list(self.hints.tries()) if self.solvers.index_files else []
        for number, one in enumerate(tries):
            files = suitable(self.solvers.index_files, self.field.shape, one.scale_arcsec)
            if one.place is not None:
                ra, dec, radius = one.place
                files = of_region(files, ra, dec, radius + self.field.radius_deg(one.scale_guess))
            if not files:
                self.tried[f"index files {one}"] = "none has patterns of a fitting size"
                continue
            more = len(tries) - number
            share = max(limit_s - (_processor_s() - began), 0.0) / (more if patient else min(more, 2))
            found = self._search(Question(files, one.scale_arcsec, one.place, patient), one, share)
            if found is not None:
                return found
        return None

    def _search(self, question: Question, one: Try, limit_s: float) -> Solution | None:
        try:
            match = search_indexes(question, self.field.xy, limit_s)
            if match is not None:
                return self._fitted(match)
            problem = "no match"
        except (SearchFailed, UnusableDataError) as error:
            problem = str(error)
        self.tried[f"{len(question.files)} index files {one}"] = problem
        return None

    def _fitted(self, match: IndexMatch) -> Solution:
        """Our own fit to the index's stars, then to the catalogue's."""
        from pipeline.sky.astrometry.sky_wcs import SkyWcs
        from pipeline.sky.astrometry.wcs_fit import refine

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

    def by_catalogue(self) -> Solution | None:
        """The pattern of the catalogue's stars around the pointing; one that was away a moment ago still is."""
        if self.solvers.catalogue is None or self.hints.place is None or self.outage is not None:
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
        if self.hints.radius_deg > NEAR_DEG:
            yield from self.hints.near(NEAR_DEG)
        yield from (one for one in replace(self.hints, claim=None).tries() if one.place is not None)
