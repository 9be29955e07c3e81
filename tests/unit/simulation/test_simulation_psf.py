"""Stars in focus, out of focus, undersampled and with halos: all their light, centred where the truth says."""

from dataclasses import replace

import numpy as np
import pytest

from pipeline.errors import UnusableDataError
from pipeline.trials.simulation.night_spec import NightSpec
from pipeline.trials.simulation.psf import Haloed, Moffat, Psf, Ring
from pipeline.trials.simulation.star_stamps import draw_stars, moffat_alpha

SIDE = 141
X, Y = 70.37, 68.81
SHAPES = [
    Ring(8.0, obstruction=0.3),
    Ring(12.0),
    Ring(14.0, vane_width=0.1, angle_deg=10.0),
    Ring(12.0, vane_width=0.05, coma=0.2, angle_deg=30.0),
    Ring(20.0, obstruction=0.45),
]


def drawn(psf: Psf, fwhm: float, x: float = X, y: float = Y, flux: float = 1e6) -> np.ndarray:
    image = psf.draw((SIDE, SIDE), np.array([x]), np.array([y]), np.array([flux]), fwhm)
    assert image.dtype == np.float32
    return image.astype(np.float64)


@pytest.mark.parametrize("fwhm", [1.5, 3.0])
@pytest.mark.parametrize("psf", SHAPES, ids=repr)
def test_a_ring_has_all_its_light_and_is_centred_on_it(psf: Ring, fwhm: float) -> None:
    image = drawn(psf, fwhm)
    y, x = np.mgrid[:SIDE, :SIDE]
    assert image.sum() == pytest.approx(1e6, rel=1e-4)
    assert (image * x).sum() / image.sum() == pytest.approx(X, abs=1e-3)
    assert (image * y).sum() / image.sum() == pytest.approx(Y, abs=1e-3)
    assert image.min() >= 0


@pytest.mark.parametrize("psf", SHAPES, ids=repr)
def test_a_ring_is_the_mirror_blurred_by_seeing_and_pixels(psf: Ring) -> None:
    """Against rays of its own, each blurred by a Moffat profile drawn by the stamps in focus."""
    rng = np.random.default_rng(8)
    p, q = (np.mgrid[:200, :200].reshape(2, -1) + rng.uniform(size=(2, 40_000))) / 100 - 1
    r = np.hypot(p, q)
    is_open = (r < 1) & (r > psf.obstruction) & (np.abs(p) > psf.vane_width) & (np.abs(q) > psf.vane_width)
    p, q = p[is_open], q[is_open]
    landed = np.stack([p + psf.coma * (3 * p**2 + q**2), q + 2 * psf.coma * p * q])
    landed -= landed.mean(axis=1, keepdims=True)
    angle = np.radians(psf.angle_deg)
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    x, y = np.array([[X], [Y]]) + turn @ landed * psf.diameter_px / 2
    expected = draw_stars((SIDE, SIDE), x, y, np.full(x.size, 1e6 / x.size), 2.0, 3.0)
    # Rays at random within cells of a grid: a pixel is known to some tenths of a per cent.
    np.testing.assert_allclose(drawn(psf, 2.0), expected, atol=0.02 * expected.max())


def test_a_plain_ring_has_a_hole_and_its_diameter() -> None:
    image = drawn(Ring(12.0, obstruction=0.5), 1.5, 70.0, 70.0)
    row = image[70]
    assert row[70] < 0.3 * row.max()
    half = np.flatnonzero(row > row.max() / 2)
    assert half[-1] - half[0] + 1 == pytest.approx(12, abs=1)


def test_a_vaned_ring_is_in_four_parts_and_coma_makes_one_side_brighter() -> None:
    y, x = np.mgrid[:SIDE, :SIDE] - 70
    on_ring = (np.hypot(x, y) > 3.5) & (np.hypot(x, y) < 5.5)
    vaned = drawn(Ring(12.0, vane_width=0.1), 1.5, 70.0, 70.0)
    on_axis = on_ring & ((np.abs(x) < 1) | (np.abs(y) < 1))
    assert vaned[on_axis].mean() < 0.7 * vaned[on_ring & ~on_axis].mean()
    comatic = drawn(Ring(12.0, coma=0.2), 1.5, 70.0, 70.0)
    assert comatic[70, :70].max() > 2 * comatic[70, 71:].max()


@pytest.mark.parametrize("fwhm", [1.4, 1.6, 1.8])
@pytest.mark.parametrize(("dx", "dy"), [(0.0, 0.0), (0.5, 0.5), (0.3, -0.2)])
def test_an_undersampled_star_is_integrated_over_its_pixels(fwhm: float, dx: float, dy: float) -> None:
    alpha = moffat_alpha(fwhm, 3.0)
    fine = (np.arange(200) + 0.5) / 200 - 0.5
    image = drawn(Moffat(), fwhm, 70 + dx, 70 + dy)
    for row, column in ((70, 70), (70, 71), (69, 70), (71, 72)):
        r2 = ((fine + column - 70 - dx) ** 2 + (fine[:, None] + row - 70 - dy) ** 2) / alpha**2
        expected = 1e6 * np.mean(2 / (np.pi * alpha**2) * (1 + r2) ** -3)
        assert image[row, column] == pytest.approx(expected, rel=1e-3)


def test_a_halo_holds_its_share_and_falls_as_a_power_of_the_distance() -> None:
    psf = Haloed(share=0.1, halo_fwhm_px=10.0, halo_beta=1.25)
    image = drawn(psf, 3.0, 70.0, 70.0, 1e8)
    halo = drawn(psf, 3.0, 70.0, 70.0, 1e8) - 0.9 * drawn(Moffat(), 3.0, 70.0, 70.0, 1e8)
    assert halo[70, 120] / halo[70, 100] == pytest.approx((50 / 30) ** -2.5, rel=0.05)
    # 1 − (1 + r²/α²)^(1−β) of the halo's light lies within r.
    alpha = moffat_alpha(10.0, 1.25)
    y, x = np.mgrid[:SIDE, :SIDE] - 70
    inside = np.hypot(x, y) < 40
    assert halo[inside].sum() == pytest.approx(1e7 * (1 - (1 + (40 / alpha) ** 2) ** -0.25), rel=0.01)
    assert image[inside].sum() < 1e8


@pytest.mark.parametrize(
    "psf", [Moffat(1.0), Haloed(share=1.0), Haloed(halo_beta=1.0), Ring(0.5), Ring(obstruction=1.0), Ring(coma=0.5)]
)
def test_shapes_that_no_star_has_are_refused(psf: Psf) -> None:
    with pytest.raises(UnusableDataError, match="psf is"):
        replace(NightSpec(), psf=psf)
