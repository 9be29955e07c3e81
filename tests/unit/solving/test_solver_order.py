"""Which way of solving comes when, what it is given, and what comes of failures; the fits are real, the sky is not."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from pipeline.sky.astrometry import SkyWcs
from services.choices import Choices
from services.deployment import Deployment
from services.errors import TransientError
from services.sky.solving import solver
from services.sky.solving.hints import BLIND_SCALE_ARCSEC, Claim, Hints
from services.sky.solving.index_files import IndexFile
from services.sky.solving.index_solver import OutOfTime, SearchFailed
from services.sky.solving.solution import Field, Solution, Unsolved
from services.sky.solving.solvers import INSTALL_FILES, INSTALL_PACKAGE, NAME_POINTING, Solvers, open_solvers
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
Way = Callable[[Field, Hints, Solvers], Solution | Unsolved]


def at_once(field: Field, hints: Hints, solvers: Solvers) -> Solution | Unsolved:
    return solver.solve_at_once(field, hints, solvers, MAG_LIMIT)


def by_index(field: Field, hints: Hints, solvers: Solvers) -> Solution | Unsolved:
    return solver.search_index_files(field, hints, solvers, MAG_LIMIT, TIME_LIMIT_S)


def by_catalogue(field: Field, hints: Hints, solvers: Solvers) -> Solution | Unsolved:
    return solver.ask_catalogue(field, hints, solvers, MAG_LIMIT)


def solve(
    monkeypatch: pytest.MonkeyPatch,
    field: Field,
    hints: Hints = GOOD,
    index: KnownIndex | None = None,
    catalogue: KnownCatalogue | None = None,
    way: Way = at_once,
) -> Solution | Unsolved:
    if index is not None:
        monkeypatch.setattr(solver, "search_indexes", index)
    solvers = Solvers(FILES if index is not None else [], catalogue)
    return way(field, hints, solvers)


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


def test_measuring_does_not_wait_for_the_end_of_a_search(monkeypatch: pytest.MonkeyPatch) -> None:
    """Half of the seconds that are left for each try but the last (here none takes any)."""
    stars, right = stars_around(), truth()
    index, catalogue = KnownIndex(None, right, OutOfTime("no match within 2 s")), KnownCatalogue(stars)
    found = solve(monkeypatch, seen(stars, right), index=index, catalogue=catalogue)
    assert isinstance(found, Solution)
    assert found.solver == "catalogue"
    assert corners_off(found.fit.wcs, right) < 0.1
    all_s = solver.AT_ONCE_S
    assert all_s < 10
    assert [limit for _, limit in index.asked] == pytest.approx([all_s / 2, all_s / 2, all_s], rel=0.05)
    assert not any(question.patient for question, _ in index.asked)


def test_a_long_search_takes_its_time_behind_other_work(monkeypatch: pytest.MonkeyPatch) -> None:
    right = truth()
    index = KnownIndex(None, right, OutOfTime("no match"))
    assert isinstance(solve(monkeypatch, seen(stars_around(), right), index=index, way=by_index), Unsolved)
    assert [limit for _, limit in index.asked] == pytest.approx(
        [TIME_LIMIT_S / 3, TIME_LIMIT_S / 2, TIME_LIMIT_S], rel=0.05
    )
    assert all(question.patient for question, _ in index.asked)
    assert index.asked[-1][0].scale_arcsec == BLIND_SCALE_ARCSEC


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


def test_a_search_that_died_is_not_repeated(monkeypatch: pytest.MonkeyPatch) -> None:
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


def test_an_outage_does_not_hold_measuring_up_and_is_tried_again_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """With a header's WCS too the archive is asked once: a moment later it is still away."""
    stars, right = stars_around(), truth()
    field = seen(stars, right)
    for hints in (GOOD, replace(GOOD, claim=Claim(right, SHAPE, "a.fits"))):
        away = KnownCatalogue(stars, away=True)
        found = solve(monkeypatch, field, hints, KnownIndex(None, right), away)
        assert isinstance(found, Unsolved)
        assert "the archive does not answer" in found.reason
        assert len(away.asked) == 1, "the others would fail alike"
        index = KnownIndex(None, right)
        with pytest.raises(TransientError, match="the archive does not answer"):
            solve(monkeypatch, field, hints, index, away, by_catalogue)
        assert not index.asked


def off(right: SkyWcs, east_arcsec: float, turn_deg: float) -> SkyWcs:
    """A header's WCS that is a little off."""
    turn, shift = np.radians(turn_deg), east_arcsec / 3600 / np.cos(np.radians(CENTRE[1]))
    rotation = np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
    return SkyWcs(right.crpix, (right.crval[0] + shift, right.crval[1]), rotation @ right.cd)


@pytest.mark.parametrize(("east_arcsec", "turn_deg"), [(0.0, 0.0), (90.0, 0.0), (1200.0, 0.6)])
def test_a_headers_wcs_is_verified_on_the_stars_and_mended(
    monkeypatch: pytest.MonkeyPatch, east_arcsec: float, turn_deg: float
) -> None:
    """Right, 17 px off, and a third of the field off: no pattern is sought, no index file searched."""
    stars, right = stars_around(), truth()
    hints = Hints(claim=Claim(off(right, east_arcsec, turn_deg), SHAPE, "a.fits"))
    index = KnownIndex(stars, right)
    found = solve(monkeypatch, seen(stars, right), hints, index, KnownCatalogue(stars))
    assert isinstance(found, Solution)
    assert found.solver == "header"
    assert corners_off(found.fit.wcs, right) < 0.1
    assert not index.asked


def test_a_headers_wcs_that_no_star_confirms_is_no_solution(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of another field, of another camera, or with nothing at hand that could tell: that is said."""
    stars, right = stars_around(), truth()
    elsewhere = SkyWcs(right.crpix, (CENTRE[0] + 1.0, CENTRE[1] - 0.9), right.cd)
    for wrong in (elsewhere, SkyWcs(right.crpix, right.crval, 2.0 * right.cd)):
        found = solve(
            monkeypatch, seen(stars, right), Hints(claim=Claim(wrong, SHAPE, "a.fits")), catalogue=KnownCatalogue(stars)
        )
        assert isinstance(found, Unsolved)
        assert "the headers' WCS: " in found.reason
    nothing = solve(
        monkeypatch, seen(stars, right), Hints(claim=Claim(right, SHAPE, "a.fits")), KnownIndex(None, right)
    )
    assert isinstance(nothing, Unsolved)
    assert "the WCS in the header of a.fits, which is a hint until stars confirm it" in nothing.reason


def test_a_headers_wcs_makes_the_search_narrow(monkeypatch: pytest.MonkeyPatch) -> None:
    stars, right = stars_around(), truth()
    index = KnownIndex(stars, right)
    claim = Claim(off(right, 90.0, 0.0), SHAPE, "a.fits")
    found = solve(monkeypatch, seen(stars, right), Hints(claim=claim), index)
    assert isinstance(found, Solution)
    [(question, _)] = index.asked
    assert question.place is not None
    assert question.place[2] < 1.2
    assert question.scale_arcsec[1] / question.scale_arcsec[0] < 1.1


def test_nothing_to_solve_with_is_known_beforehand(tmp_path: Path) -> None:
    nothing = open_solvers(Deployment(index_dir=tmp_path), Choices(catalog="none"))
    assert not nothing.can_try(GOOD)
    reason = nothing.reason(GOOD)
    assert f"no index files in {tmp_path}" in reason
    assert INSTALL_FILES in reason
    with_catalogue = open_solvers(Deployment(index_dir=tmp_path, root=tmp_path), Choices(catalog="gaia"))
    assert with_catalogue.can_try(GOOD)
    assert not with_catalogue.can_try(Hints())
    assert NAME_POINTING in with_catalogue.reason(Hints())


def test_a_library_that_is_not_installed_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("services.sky.solving.solvers.find_index_files", lambda _: FILES)
    monkeypatch.setattr("services.sky.solving.solvers.installed", lambda: False)
    found = open_solvers(Deployment(), Choices(catalog="none"))
    assert not found.can_try(GOOD)
    assert INSTALL_PACKAGE in found.reason(GOOD)
