"""The fit of a WCS to stars, from a rough one: residuals, degree, matches, refusals."""

import numpy as np
import pytest

from pipeline.errors import UnusableDataError
from pipeline.sky.astrometry import SkyWcs, refine
from tests.unit.astrometry.made_skies import SHAPE, Seen, Sky, camera, errors, offset, seen, sky

SCALE = 1.5  # arcsec a pixel
REACH = 0.7  # degrees, to beyond the corners
AREA_RATIO = np.pi * REACH**2 / (2048 * SCALE / 3600) ** 2


def roughly(rng: np.random.Generator, truth: SkyWcs) -> SkyWcs:
    """A WCS about 5 px off, turned by 0.15 degrees and 0.2 % too large or small: 8 px in the corners."""
    # Of another pixel of the same WCS: beside a pole, another right ascension would turn the plane.
    moved = truth.crpix + rng.choice([-3.5, 3.5], 2)
    turn = np.radians(rng.choice([-0.15, 0.15]))
    rotation = np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
    return SkyWcs((float(moved[0]), float(moved[1])), truth.crval, rotation @ truth.cd * rng.choice([0.998, 1.002]))


def scene(
    seed: int, stars: int, distortion: float = 0.0, place: tuple[float, float] | None = None, **how: float
) -> tuple[SkyWcs, SkyWcs, Sky, Seen]:
    """(truth, rough WCS, catalogue, detections) of a field with so many stars, a fifth of the detections spurious."""
    rng = np.random.default_rng(seed)
    where = place or (rng.uniform(0, 360), rng.uniform(-85, 85))
    truth = camera(where, SCALE, rng.uniform(0, 360), bool(seed % 2), distortion=distortion)
    stars_ = sky(rng, where, REACH, int(stars * AREA_RATIO))
    return truth, roughly(rng, truth), stars_, seen(rng, stars_, truth, **{"spurious": 0.2, **how})


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize(
    ("stars", "distortion", "median", "corner"),
    [
        # Errors of 0.05 px on each axis, over the root of the stars, times 2 to 6 for the worst place and seed.
        pytest.param(15, 0.0, 0.07, 0.15, id="15 stars"),
        pytest.param(300, 0.0, 0.02, 0.04, id="300 stars"),
        pytest.param(300, 20.0, 0.03, 0.15, id="20 px of distortion"),
        pytest.param(3000, 5.0, 0.01, 0.05, id="3000 stars"),
    ],
)
def test_the_wcs_is_found_as_well_as_the_stars_allow(
    seed: int, stars: int, distortion: float, median: float, corner: float
) -> None:
    truth, rough, catalogue, image = scene(seed, stars, distortion)
    found = refine(rough, image.xy, image.flux, catalogue.radec, catalogue.mag, SHAPE)
    away = errors(found.wcs, truth)
    assert away[0] < median
    assert away[1] < corner
    assert found.degree == (3 if distortion else 1)
    assert found.wcs.degree == found.degree
    assert found.wcs.centre(SHAPE) == pytest.approx(found.wcs.crval)
    # Two axes of 0.05 px; clipping at 4 sigma takes a thousandth of it away.
    assert found.rms_arcsec == pytest.approx(0.05 * np.sqrt(2) * SCALE, rel=0.35 if stars < 100 else 0.06)
    star = image.star[found.used[:, 0]]
    assert (
        found.matches == len(found.used) == len(set(found.used[:, 0].tolist())) == len(set(found.used[:, 1].tolist()))
    )
    assert (star == found.used[:, 1]).mean() > 0.995
    assert found.matches > 0.85 * min(np.count_nonzero(image.star >= 0), 2500 * 0.8)


@pytest.mark.parametrize("place", [(0.001, 5.0), (123.0, 89.9), (300.0, -89.99)])
def test_places_where_right_ascension_jumps(place: tuple[float, float]) -> None:
    truth, rough, catalogue, image = scene(7, 300, 5.0, place)
    found = refine(rough, image.xy, image.flux, catalogue.radec, catalogue.mag, SHAPE)
    assert max(errors(found.wcs, truth)) < 0.2
    assert found.matches > 200


def test_faint_stars_with_poor_centroids_count_for_less() -> None:
    away = []
    for seed in range(6):
        truth, rough, catalogue, image = scene(seed, 400, 10.0, faint_noise=0.4)
        found = refine(rough, image.xy, image.flux, catalogue.radec, catalogue.mag, SHAPE)
        away.append(errors(found.wcs, truth))
    # 0.05 px for bright stars, 0.4 px for those at the limit. Measured: 0.029 px; with even weights 0.039 px.
    assert np.mean([median for median, _ in away]) < 0.034
    assert max(corner for _, corner in away) < 0.3


@pytest.mark.parametrize("seed", range(3))
def test_distortion_that_few_stars_cannot_carry_is_left_alone(seed: int) -> None:
    truth, rough, catalogue, image = scene(seed, 50, 0.0, spurious=0.0)
    part = image.xy[:, 0] < 1000  # the left half
    found = refine(rough, image.xy[part], image.flux[part], catalogue.radec, catalogue.mag, SHAPE)
    assert found.degree == 1
    assert errors(found.wcs, truth)[1] < 0.6


@pytest.mark.parametrize("seed", range(3))
def test_a_catalogue_ten_times_as_deep(seed: int) -> None:
    truth, rough, catalogue, image = scene(seed, 3000, 5.0, limit=-1 / 0.35)
    assert len(image.xy) < 500
    found = refine(rough, image.xy, image.flux, catalogue.radec, catalogue.mag, SHAPE)
    assert errors(found.wcs, truth)[0] < 0.05
    assert (image.star[found.used[:, 0]] == found.used[:, 1]).mean() > 0.98


def test_what_has_no_position_or_magnitude_does_no_harm() -> None:
    truth, rough, catalogue, image = scene(3, 300)
    image.xy[:20] = np.nan
    image.flux[20:40] = np.nan
    catalogue.mag[::9] = np.nan
    catalogue.radec[::50] = np.nan
    found = refine(rough, image.xy, image.flux, catalogue.radec, catalogue.mag, SHAPE)
    assert errors(found.wcs, truth)[0] < 0.03
    assert found.used[:, 0].min() >= 20


def test_too_few_matches_are_refused_with_their_number() -> None:
    _, rough, catalogue, image = scene(3, 300)
    with pytest.raises(UnusableDataError, match=r"0 of 3 stars match one of the 3\d\d catalogue stars in the field"):
        refine(rough, image.xy[:3], image.flux[:3], catalogue.radec, catalogue.mag, SHAPE)
    with pytest.raises(UnusableDataError, match="match one of the 0 catalogue stars in the field, expected at least 4"):
        refine(rough, image.xy, image.flux, catalogue.radec[:0], catalogue.mag[:0], SHAPE)


def test_a_wrong_place_is_refused() -> None:
    for seed in range(5):
        truth, _, catalogue, image = scene(seed, 300)
        ra, dec = offset(truth.crval, 0.05, 90.0)
        with pytest.raises(UnusableDataError, match="more than chance explains"):
            refine(
                SkyWcs(truth.crpix, (ra, dec), truth.cd), image.xy, image.flux, catalogue.radec, catalogue.mag, SHAPE
            )
