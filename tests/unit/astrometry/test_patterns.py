"""Images found on the sky from nothing but stars about a rough pointing; never where they are not."""

from dataclasses import dataclass

import numpy as np
import pytest

from pipeline.errors import UnusableDataError
from pipeline.sky.astrometry import SkyHint, SkyWcs, match_catalogue
from tests.unit.astrometry.made_skies import SHAPE, SLOPE, Seen, Sky, camera, errors, offset, seen, sky


@dataclass(frozen=True)
class Scene:
    """A field with ``stars`` within the camera's limit, of which it misses a tenth, and 30 % of detections spurious."""

    stars: int = 200
    scale: float = 1.5  # arcsec a pixel
    shape: tuple[int, int] = SHAPE
    place: tuple[float, float] | None = None
    deeper: float = 1.0  # the catalogue's stars over those that the camera can see
    shallower: float = 1.0
    spurious: float = 0.3
    missing: float = 0.1
    distortion: float = 5.0  # px in the corner
    radius: float = 1.0  # degrees: the pointing is wrong by up to it
    hint_scale: float | None = 1.3
    noise: float = 0.05

    def made(self, seed: int) -> tuple[SkyWcs, Sky, Seen, SkyHint]:
        rng = np.random.default_rng(seed)
        place = self.place or (rng.uniform(0, 360), float(np.degrees(np.arcsin(rng.uniform(-1, 1)))))
        truth = camera(place, self.scale, rng.uniform(0, 360), bool(seed % 2), self.shape, self.distortion)
        pointing = offset(place, self.radius * rng.uniform(0.7, 1), rng.uniform(0, 360))
        reach = self.radius + 1.5 * truth.radius(self.shape)
        density = self.stars * self.deeper / (self.shape[0] * self.shape[1] * (self.scale / 3600) ** 2)
        everything = sky(rng, pointing, reach, int(density * np.pi * reach**2))
        image = seen(
            rng,
            everything,
            truth,
            self.shape,
            limit=-np.log10(self.deeper) / SLOPE,
            noise=self.noise,
            missing=self.missing,
            spurious=self.spurious,
        )
        # Too large by the factor, or too small.
        factor = None if self.hint_scale is None else self.hint_scale if seed % 3 else 2 - self.hint_scale
        hint = SkyHint(*pointing, self.radius, None if factor is None else self.scale * factor, 0.3)
        return truth, everything.brighter(-np.log10(self.shallower) / SLOPE), image, hint


@pytest.mark.parametrize("seed", range(2))
@pytest.mark.parametrize(
    "scene",
    [
        pytest.param(Scene(), id="plain"),
        pytest.param(Scene(15, distortion=0, spurious=0, noise=0.03), id="15 stars"),
        pytest.param(Scene(20, distortion=0, noise=0.03), id="20 stars, spurious ones"),
        pytest.param(Scene(15000), id="15000 stars"),
        pytest.param(Scene(hint_scale=None), id="no scale"),
        pytest.param(Scene(40, hint_scale=None, distortion=0), id="no scale, few stars"),
        pytest.param(Scene(deeper=10), id="deeper catalogue"),
        pytest.param(Scene(600, shallower=5), id="shallower catalogue"),
        pytest.param(Scene(place=(0.02, 10.0)), id="0 h"),
        pytest.param(Scene(place=(100.0, 89.0)), id="declination 89"),
        pytest.param(Scene(place=(250.0, -89.98)), id="pole in the field"),
        pytest.param(Scene(2000, scale=18), id="10 degrees wide"),
        pytest.param(Scene(40, scale=0.3, shape=(1024, 1024), distortion=0), id="5 arcmin wide"),
        pytest.param(Scene(80, scale=3, shape=(480, 640), distortion=0), id="small camera"),
        pytest.param(Scene(distortion=20), id="20 px of distortion"),
        pytest.param(Scene(spurious=0.5), id="half spurious"),
        pytest.param(Scene(missing=0.4), id="many missing"),
    ],
)
def test_the_image_is_found(scene: Scene, seed: int) -> None:
    truth, catalogue, image, hint = scene.made(seed)
    found = match_catalogue(image.xy, image.flux, catalogue.radec, catalogue.mag, scene.shape, hint)
    median, corner = errors(found.wcs, truth, scene.shape)
    assert median < 0.1
    assert corner < 0.5
    assert found.wcs.mirrored == truth.mirrored
    assert (image.star[found.used[:, 0]] >= 0).mean() > 0.97


def test_both_parities_are_tried() -> None:
    assert {Scene().made(seed)[0].mirrored for seed in range(2)} == {False, True}


@pytest.mark.parametrize(
    ("stars", "catalogue", "seeds", "scale"),
    [(6, 15, 8, 1.5), (10, 15, 8, 1.5), (15, 15, 1, None), (40, 40, 1, 1.5), (8, 400, 1, 1.5), (200, 200, 1, 1.5)],
)
def test_unrelated_stars_are_never_matched(stars: int, catalogue: int, seeds: int, scale: float | None) -> None:
    for seed in range(seeds):
        rng = np.random.default_rng(1000 + seed)
        everything = sky(rng, (0.0, 60.0), 1.9, int(catalogue * np.pi * 1.9**2 / (2048 * 1.5 / 3600) ** 2))
        xy, flux = rng.uniform(0, 2047, (stars, 2)), 10 ** rng.uniform(2, 5, stars)
        with pytest.raises(UnusableDataError, match=rf"the {stars} stars among \d+ catalogue stars"):
            match_catalogue(xy, flux, everything.radec, everything.mag, SHAPE, SkyHint(0.0, 60.0, 1.0, scale, 0.3))


def test_columns_and_clumps_are_never_matched(rng: np.random.Generator) -> None:
    everything = sky(rng, (80.0, 0.0), 1.9, 1500)
    column = np.column_stack([700 + rng.normal(0, 0.3, 60), rng.uniform(0, 2047, 60)])
    xy = np.concatenate([column, rng.normal(1000, 150, (60, 2)), rng.uniform(0, 2047, (40, 2))])
    flux, hint = 10 ** rng.uniform(2, 5, 160), SkyHint(80.0, 0.0, 1.0, 1.5)
    with pytest.raises(UnusableDataError, match="no place within 1 degrees"):
        match_catalogue(xy, flux, everything.radec, everything.mag, SHAPE, hint)


def test_a_field_that_is_not_in_the_catalogue_is_refused() -> None:
    _, _, image, hint = Scene().made(0)
    _, other, _, _ = Scene(place=(hint.ra_deg, hint.dec_deg)).made(1)
    with pytest.raises(UnusableDataError, match="check the pointing and the pixel scale"):
        match_catalogue(image.xy, image.flux, other.radec, other.mag, SHAPE, hint)


def test_a_scale_far_from_the_hint_is_refused() -> None:
    _, catalogue, image, hint = Scene().made(1)
    wrong = SkyHint(hint.ra_deg, hint.dec_deg, 1.0, 0.5, 0.3)
    with pytest.raises(UnusableDataError, match=r'0\.5" a pixel within 30 %'):
        match_catalogue(image.xy, image.flux, catalogue.radec, catalogue.mag, SHAPE, wrong)


def test_too_few_stars_are_counted() -> None:
    _, catalogue, image, hint = Scene().made(1)
    image.xy[5:] = np.nan
    with pytest.raises(UnusableDataError, match="5 stars were found in the image, expected at least 6"):
        match_catalogue(image.xy, image.flux, catalogue.radec, catalogue.mag, SHAPE, hint)
    _, _, image, _ = Scene().made(1)
    with pytest.raises(UnusableDataError, match=r"the catalogue has 3 stars about RA .* expected at least 6"):
        match_catalogue(image.xy, image.flux, np.array([[hint.ra_deg, hint.dec_deg]] * 3), np.zeros(3), SHAPE, hint)
    with pytest.raises(UnusableDataError, match="the catalogue has 0 stars"):
        match_catalogue(image.xy, image.flux, np.empty((0, 2)), np.empty(0), SHAPE, hint)
