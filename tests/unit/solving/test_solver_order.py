"""Which way of solving comes when, what it is given, and what comes of failures; the fits are real, the sky is not."""

from pathlib import Path

import numpy as np
import pytest

from pipeline.astrometry import SkyWcs
from services.errors import TransientError
from services.settings import Settings
from services.solving import solver
from services.solving.hints import BLIND_SCALE_ARCSEC, Hints
from services.solving.index_files import IndexFile
from services.solving.index_solver import OutOfTime, SearchFailed
from services.solving.solution import Field, Solution, Unsolved
from services.solving.solvers import INSTALL_FILES, INSTALL_PACKAGE, NAME_POINTING, Solvers, open_solvers
from tests.unit.solving.made_sky import (
    CENTRE,
    SCALE_ARCSEC,
    SHAPE,
    KnownCatalogue,
    KnownIndex,
    seen,
    stars_around,
    truth,
)

FILES = [IndexFile(Path("index-4107.fits"), 22 / 60, 30 / 60, None)]
GOOD = Hints((CENTRE[0] + 0.1, CENTRE[1]), "headers", 3.0, 5.2, "headers")
TIME_LIMIT_S, MAG_LIMIT = 90.0, 18.0


def solve(
    monkeypatch: pytest.MonkeyPatch,
    field: Field,
    hints: Hints = GOOD,
    index: KnownIndex | None = None,
    catalogue: KnownCatalogue | None = None,
) -> Solution | Unsolved:
    if index is not None:
        monkeypatch.setattr(solver, "search_indexes", index)
    solvers = Solvers(FILES if index is not None else [], catalogue)
    return solver.solve_field(field, hints, solvers, time_limit_s=TIME_LIMIT_S, mag_limit=MAG_LIMIT)


def corners_off(wcs: SkyWcs, right: SkyWcs) -> float:
    """Pixels by which the worst corner is wrong."""
    x, y = (0.0, SHAPE[1] - 1.0), (0.0, SHAPE[0] - 1.0)
    corners = np.array([[one, other] for one in x for other in y])
    return float(np.hypot(*(wcs.to_pixels(right.to_sky(corners)) - corners).T).max())


def test_the_fit_is_ours_not_the_searchs(monkeypatch: pytest.MonkeyPatch) -> None:
    """The search's WCS is 2 px off; some 40 stars with centroids good to 0.1 px place the corners to 0.05."""
    stars, right = stars_around(), truth()
    index = KnownIndex(stars, right)
    found = solve(monkeypatch, seen(stars, right), index=index)
    assert isinstance(found, Solution)
    assert found.solver == "index"
    assert corners_off(found.fit.wcs, right) < 0.15
    assert found.fit.rms_arcsec == pytest.approx(np.sqrt(2) * 0.1 * SCALE_ARCSEC, rel=0.3)
    assert len(index.asked) == 1


def test_a_catalogue_refines_what_the_index_found_at_the_epoch(monkeypatch: pytest.MonkeyPatch) -> None:
    """All stars move by 1 arcsec a year: the index's places of 2016 are 2 arcsec behind, the catalogue's are not."""
    stars, right = stars_around(motion_mas=1000.0), truth()
    field = seen(stars, right)
    by_index = solve(monkeypatch, field, index=KnownIndex(stars, right))
    catalogue = KnownCatalogue(stars)
    by_both = solve(monkeypatch, field, index=KnownIndex(stars, right), catalogue=catalogue)
    assert isinstance(by_index, Solution)
    assert isinstance(by_both, Solution)
    assert by_both.solver == "index"
    assert by_both.fit.matches > 3 * by_index.fit.matches
    assert corners_off(by_index.fit.wcs, right) > 0.3
    assert corners_off(by_both.fit.wcs, right) < 0.1
    [(ra, dec, radius, limit)] = catalogue.asked
    assert (ra, dec) == pytest.approx(CENTRE, abs=0.01)
    assert right.radius(SHAPE) < radius < 1.2 * right.radius(SHAPE)
    assert limit == MAG_LIMIT


def test_an_outage_does_not_spoil_what_the_index_found(monkeypatch: pytest.MonkeyPatch) -> None:
    stars, right = stars_around(), truth()
    found = solve(
        monkeypatch, seen(stars, right), index=KnownIndex(stars, right), catalogue=KnownCatalogue(stars, away=True)
    )
    assert isinstance(found, Solution)
    assert corners_off(found.fit.wcs, right) < 0.15


def test_a_catalogue_of_other_stars_does_not_spoil_it(monkeypatch: pytest.MonkeyPatch) -> None:
    stars, right = stars_around(), truth()
    others = KnownCatalogue(stars_around(seed=9))
    found = solve(monkeypatch, seen(stars, right), index=KnownIndex(stars, right), catalogue=others)
    assert isinstance(found, Solution)
    assert others.asked
    assert corners_off(found.fit.wcs, right) < 0.15


@pytest.mark.parametrize(
    ("hints", "tries"),
    [
        (Hints((CENTRE[0] + 1.4, CENTRE[1]), "", 3.0, 5.2, ""), 1),  # a degree off
        (Hints(CENTRE, "", 3.0, 5.2 * 1.3, ""), 2),
        (Hints((CENTRE[0], CENTRE[1] - 10.0), "", 3.0, 5.2 / 1.3, ""), 2),
        (Hints((200.0, -40.0), "", 3.0, 0.2, ""), 1),  # blind at once: no pattern fits into fields of minutes
        (Hints(), 1),
    ],
)
def test_a_wrong_hint_does_not_prevent_a_solution(monkeypatch: pytest.MonkeyPatch, hints: Hints, tries: int) -> None:
    stars, right = stars_around(), truth()
    index = KnownIndex(stars, right)
    found = solve(monkeypatch, seen(stars, right), hints, index)
    assert isinstance(found, Solution)
    assert corners_off(found.fit.wcs, right) < 0.15
    assert len(index.asked) == tries


def test_the_catalogue_is_asked_before_index_files_are_searched_to_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    stars, right = stars_around(), truth()
    index, catalogue = KnownIndex(None, right, OutOfTime("no match within 5 s")), KnownCatalogue(stars)
    found = solve(monkeypatch, seen(stars, right), index=index, catalogue=catalogue)
    assert isinstance(found, Solution)
    assert found.solver == "catalogue"
    assert corners_off(found.fit.wcs, right) < 0.1
    assert [limit for _, limit in index.asked] == [5.0] * 3


@pytest.mark.parametrize(
    "hints",
    [
        Hints((CENTRE[0] + 1.4, CENTRE[1]), "", 3.0, 5.2, ""),
        Hints(CENTRE, "", 3.0, 5.2 * 1.3, ""),
        Hints(CENTRE, "", 1.0, 5.2 / 1.3, ""),
        Hints(CENTRE, "", 1.0),
    ],
)
def test_the_catalogue_alone_survives_wrong_hints(monkeypatch: pytest.MonkeyPatch, hints: Hints) -> None:
    stars, right = stars_around(), truth()
    found = solve(monkeypatch, seen(stars, right), hints, catalogue=KnownCatalogue(stars))
    assert isinstance(found, Solution)
    assert corners_off(found.fit.wcs, right) < 0.1


def test_the_first_question_to_the_catalogue_is_a_small_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """A cone of half a degree more than the field: what `tianyu catalog fetch` brought may suffice."""
    stars, right = stars_around(), truth()
    catalogue = KnownCatalogue(stars)
    assert isinstance(solve(monkeypatch, seen(stars, right), catalogue=catalogue), Solution)
    _, _, radius, limit = catalogue.asked[0]
    assert radius == pytest.approx(0.5 + 0.59, abs=0.02)
    assert 11.5 < limit < 14.5, "bright stars make the pattern, and not all of Gaia's"


def test_time_is_shared(monkeypatch: pytest.MonkeyPatch) -> None:
    """Three quick tries; of those that were not done (and took no time here) a third, a half of what is left, all."""
    right = truth()
    index = KnownIndex(None, right, OutOfTime("no match"))
    assert isinstance(solve(monkeypatch, seen(stars_around(), right), index=index), Unsolved)
    limits = [limit for _, limit in index.asked]
    assert limits == pytest.approx([5.0] * 3 + [TIME_LIMIT_S / 3, TIME_LIMIT_S / 2, TIME_LIMIT_S], rel=0.05)
    assert index.asked[2][0].scale_arcsec == index.asked[-1][0].scale_arcsec == BLIND_SCALE_ARCSEC


def test_what_was_searched_to_its_end_is_not_searched_again(monkeypatch: pytest.MonkeyPatch) -> None:
    right = truth()
    for index in (KnownIndex(None, right), KnownIndex(None, right, SearchFailed("it died"))):
        assert isinstance(solve(monkeypatch, seen(stars_around(), right), index=index), Unsolved)
        assert len(index.asked) == 3


def test_the_reason_tells_what_was_believed_tried_and_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    right = truth()
    found = solve(
        monkeypatch, seen(stars_around(), right), index=KnownIndex(None, right, OutOfTime("no match within 3 s"))
    )
    assert isinstance(found, Unsolved)
    for words in (
        "pointing 31.3500 +46.7200 (headers)",
        "5.2 arcsec a pixel (headers)",
        "1 index files within 3 degrees of 31.3500 +46.7200",
        "within 15 degrees",
        "on the whole sky",
        "no match within 3 s",
        "no catalogue",
    ):
        assert words in found.reason


def test_other_stars_are_never_a_solution(monkeypatch: pytest.MonkeyPatch) -> None:
    right = truth()
    field, others = seen(stars_around(), right), stars_around(seed=9)
    found = solve(monkeypatch, field, index=KnownIndex(None, right), catalogue=KnownCatalogue(others))
    assert isinstance(found, Unsolved)
    assert "catalogue within" in found.reason
    assert "tianyu catalog fetch" in found.reason


def test_an_outage_that_stands_in_the_way_is_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    stars, right = stars_around(), truth()
    field, away = seen(stars, right), KnownCatalogue(stars, away=True)
    with pytest.raises(TransientError, match="the archive does not answer"):
        solve(monkeypatch, field, catalogue=away)
    assert len(away.asked) == 1, "the others would fail alike"
    index = KnownIndex(None, right)
    with pytest.raises(TransientError):
        solve(monkeypatch, field, index=index, catalogue=away)
    assert index.asked[-1][0].place is None, "the whole sky was searched besides"


def test_nothing_to_solve_with_is_known_beforehand(tmp_path: Path) -> None:
    settings = Settings(index_dir=tmp_path, catalog="none")
    nothing = open_solvers(settings)
    assert not nothing.can_try(GOOD)
    reason = nothing.reason(GOOD)
    assert f"no index files in {tmp_path}" in reason
    assert INSTALL_FILES in reason
    with_catalogue = open_solvers(Settings(index_dir=tmp_path, catalog="gaia", root=tmp_path))
    assert with_catalogue.can_try(GOOD)
    assert not with_catalogue.can_try(Hints())
    assert NAME_POINTING in with_catalogue.reason(Hints())


def test_a_library_that_is_not_installed_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("services.solving.solvers.find_index_files", lambda _: FILES)
    monkeypatch.setattr("services.solving.solvers.installed", lambda: False)
    found = open_solvers(Settings(catalog="none"))
    assert not found.can_try(GOOD)
    assert INSTALL_PACKAGE in found.reason(GOOD)
