"""A star is compared with none that shares its light: its dips come back at their true depth."""

from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray

from pipeline.aperture.aperture_flux import default_apertures, measure
from pipeline.frame.stars import find_stars, frame_fwhm
from pipeline.noise import FrameNoise
from pipeline.relative import (
    RelativeLightCurves,
    SharedLight,
    calibrate_ensemble,
    calibrate_grouped,
    calibrate_manual,
)
from pipeline.stack.detection import detect_sources
from pipeline.stack.stacking import Stack
from tests.unit.made_curves import curves
from tests.unit.pipeline.defocused import noiseless_rings

EPOCHS = 60
DIP = (np.arange(EPOCHS) >= 20) & (np.arange(EPOCHS) < 40)
GOOD = np.ones(EPOCHS, dtype=bool)
ALL = np.ones(8, dtype=bool)
XY = np.array([[10.0 * i**2, 0.0] for i in range(8)])  # the first two are 10 px apart, no others so near

SKY = 3000.0  # e-, of a pixel

Floats = NDArray[np.float64]
Method = Callable[[Floats, Floats, SharedLight], RelativeLightCurves]


def _ensemble(flux: Floats, error: Floats, shared: SharedLight) -> RelativeLightCurves:
    return calibrate_ensemble(curves(flux, error, good=GOOD), ALL, shared=shared)


def _ensemble_without_target(flux: Floats, error: Floats, shared: SharedLight) -> RelativeLightCurves:
    return calibrate_ensemble(curves(flux, error, good=GOOD), np.arange(8) > 0, shared=shared)


def _grouped(flux: Floats, error: Floats, shared: SharedLight) -> RelativeLightCurves:
    return calibrate_grouped(curves(flux, error, good=GOOD, xy=XY), ALL, shared)


def _manual(flux: Floats, error: Floats, shared: SharedLight) -> RelativeLightCurves:
    return calibrate_manual(curves(flux, error, good=GOOD), np.arange(8) < 5, shared)


def _depth(light_curve: Floats) -> float:
    return float(1 - light_curve[DIP].mean() / light_curve[~DIP].mean())


@pytest.mark.parametrize("method", [_ensemble, _ensemble_without_target, _grouped, _manual])
def test_a_dip_keeps_its_depth_beside_a_star_that_shares_the_light(method: Method) -> None:
    """The neighbour's aperture holds 40 % of the dipping star's light; its own dip is no more than noise."""
    # Noise of 1 mmag whose mean is nothing in the dip and beside it: square waves of periods that divide both.
    noise = [sign * (-1.0) ** (np.arange(EPOCHS) // half) for sign in (1, -1) for half in (1, 2, 5, 10)]
    flux = 1e6 * (1 + 0.001 * np.array(noise)) * np.random.default_rng(4).uniform(0.8, 1, EPOCHS)
    flux[0] *= 1 - 0.0015 * DIP
    flux[1] += 0.4 * flux[0]
    error = 0.001 * flux
    found = method(flux, error, SharedLight.within(XY, 15.0))
    assert _depth(found.flux[0]) == pytest.approx(0.0015, rel=3e-3)
    without = method(flux, error, SharedLight.within(XY, 5.0))
    assert _depth(without.flux[0]) < 0.00145
    assert found.error[0].mean() > 1.005 * without.error[0].mean()  # of a reference less


def test_a_star_without_other_references_is_compared_with_its_neighbour() -> None:
    flux = np.array([np.full(EPOCHS, 100.0), np.linspace(100.0, 110.0, EPOCHS)])
    shared = SharedLight.within(XY[:2], 15.0)
    for found in (
        calibrate_ensemble(curves(flux, 0.01 * flux, good=GOOD), ALL[:2], shared=shared),
        calibrate_manual(curves(flux, 0.01 * flux, good=GOOD), ALL[:2], shared),
    ):
        np.testing.assert_allclose(found.flux[0] * found.flux[1], 1.0, rtol=1e-3)


def test_pairs() -> None:
    xy = np.array([[0.0, 0.0], [3.0, 0.0], [6.0, 0.0], [np.nan, 0.0]])
    shared = SharedLight.within(xy, 4.0)
    assert list(zip(shared.star, shared.other, strict=True)) == [(0, 1), (1, 0), (1, 2), (2, 1)]
    some = shared.among(np.array([1, 2]), np.array([2, 0]))
    assert list(zip(some.star, some.other, strict=True)) == [(0, 0), (0, 1)]
    of_second = shared.of(slice(1, 2))
    assert of_second is not None
    assert of_second.sums(np.array([10.0, 20.0])[:, None]).tolist() == [[30.0]]
    assert shared.of(slice(3, 4)) is None
    # The middle one would have none left but itself.
    left = shared.with_references(np.ones(3, bool), np.ones(4, bool))
    assert list(zip(left.star, left.other, strict=True)) == [(0, 1), (2, 1)]


@pytest.mark.parametrize("kind", ["vanes", "coma"])
def test_a_shallow_dip_in_a_field_of_rings(kind: str) -> None:
    """Nine rings on 40 frames, found on their mean and measured by the default apertures."""
    rng = np.random.default_rng(6)
    xy = np.array([(x, y) for x in (60, 130, 200) for y in (60, 130, 200)], float) + rng.uniform(-5, 5, (9, 2))
    flux = np.full(9, 1e7)
    dips = 1 - 0.0015 * ((np.arange(40) > 13) & (np.arange(40) < 27))
    frames = []
    for dip in dips:
        flux[4] = 1e7 * dip
        frames.append((rng.poisson(noiseless_rings((260, 260), xy, flux, kind, 13) + SKY) - SKY).astype(np.float32))
    template = Stack(np.mean(frames, axis=0, dtype=np.float32), np.full((260, 260), 40, np.float32), 40)
    fwhm = frame_fwhm(find_stars(frames[0], SKY**0.5))
    sources = detect_sources(template, fwhm=fwhm)
    assert len(sources) == 9
    places = np.column_stack([sources["x"], sources["y"]])
    apertures = default_apertures(fwhm)
    measured = [measure(frame, places, apertures, FrameNoise(SKY**0.5, gain=1.0)) for frame in frames]
    raw, error = (np.stack([getattr(m, name)[:, 0] for m in measured], axis=1) for name in ("flux", "error"))
    shared = SharedLight.within(places, 2 * apertures.radii[0] + fwhm)
    found = calibrate_ensemble(curves(raw, error), np.ones(9, bool), shared=shared)
    star = int(np.hypot(*(places - xy[4]).T).argmin())
    inside = dips < 1
    depth = found.flux[star, ~inside].mean() - found.flux[star, inside].mean()
    # Photon noise of 0.33 mmag a point.
    expected = found.error[star].mean() * np.sqrt(1 / inside.sum() + 1 / (~inside).sum())
    assert expected < 0.00013
    assert depth == pytest.approx(0.0015, abs=2.5 * expected)
