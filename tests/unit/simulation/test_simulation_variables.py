"""Light-curve models against the numbers that define them."""

import numpy as np
import pytest

from pipeline.trials.simulation.night_spec import NightSpec
from pipeline.trials.simulation.truth import make_truth
from pipeline.trials.simulation.variables import LIMB_DARKENING, binary, flare, pulsator, transit

EPOCH = 2460000.5
NONE = float("nan")


def at(*days: float) -> np.ndarray:
    return EPOCH + np.array(days)


def test_a_transit_is_as_deep_and_as_long_as_it_says() -> None:
    flux = transit(at(-0.2, -0.0501, 0.0, 0.0501, 0.2), 0.02, NONE, EPOCH, 0.1)
    np.testing.assert_allclose(flux, [1, 1, 0.98, 1, 1], atol=1e-12)
    assert transit(at(-0.049), 0.02, NONE, EPOCH, 0.1)[0] < 1


def test_a_transit_is_symmetric_and_limb_darkened() -> None:
    t = np.linspace(0, 0.06, 200)
    after, before = (transit(EPOCH + sign * t, 0.01, NONE, EPOCH, 0.1) for sign in (1, -1))
    np.testing.assert_allclose(after, before, atol=1e-7)  # times near 2460000 are good to 5e-10 days
    assert np.all(np.diff(after) >= -1e-7)
    # At z = 0.8, well inside: covered in full, the star darker by its limb.
    z = 0.8
    t = z * 0.05 / (1 + 0.1)
    expected = 1 - 0.01 * (1 - LIMB_DARKENING * (1 - np.sqrt(1 - z**2)))
    assert transit(at(t), 0.01, NONE, EPOCH, 0.1)[0] == pytest.approx(expected, abs=1e-7)


def test_a_pulsator_swings_by_its_amplitude_in_its_period() -> None:
    flux = pulsator(at(0.0, 0.05, 0.1, 0.15, 0.2), 0.08, 0.2, EPOCH, NONE)
    np.testing.assert_allclose(flux, [1, 1.08, 1, 0.92, 1], atol=1e-7)


def test_a_binary_has_two_unequal_eclipses_a_period() -> None:
    flux = binary(at(0.0, 0.25, 0.5, 0.75, 1.0, -3.0, 7.5), 0.3, 1.0, EPOCH, 0.2)
    np.testing.assert_allclose(flux, [0.7, 1, 0.88, 1, 0.7, 0.7, 0.88], atol=1e-7)
    np.testing.assert_allclose(
        binary(at(-0.1001, -0.05, 0.05, 0.1001), 0.3, 1.0, EPOCH, 0.2), [1, 0.85, 0.85, 1], atol=1e-6
    )


def test_a_flare_rises_fast_and_decays() -> None:
    flux = flare(at(-1.0, -0.0201, -0.01, 0.0, 0.1, 0.2), 0.5, NONE, EPOCH, 0.1)
    np.testing.assert_allclose(flux, [1, 1, 1.25, 1.5, 1 + 0.5 / np.e, 1 + 0.5 / np.e**2], atol=1e-6)


def test_a_night_has_its_variables_with_visible_events() -> None:
    truth = make_truth(NightSpec())
    kinds = dict(zip(*np.unique(truth.stars.kind, return_counts=True), strict=True))
    assert {k: int(n) for k, n in kinds.items() if k != "constant"} == {
        "transit": 1,
        "pulsator": 2,
        "binary": 1,
        "flare": 1,
    }
    for star in np.flatnonzero(truth.stars.kind != "constant"):
        flux, amplitude = truth.relative_flux[star], truth.stars.amplitude[star]
        swing = {
            "transit": 1 - flux.min(),
            "binary": 1 - flux.min(),
            "flare": flux.max() - 1,
            "pulsator": (flux.max() - flux.min()) / 2,
        }[str(truth.stars.kind[star])]
        # Sampled every 45 s, the extreme of a short event may fall between two frames.
        assert 0.8 * amplitude < swing <= amplitude * (1 + 1e-5)
    constant = truth.stars.kind == "constant"
    assert (truth.relative_flux[constant] == 1).all()
    assert np.isnan(truth.stars.amplitude[constant]).all()


def test_variables_are_bright_alone_and_seen_all_night() -> None:
    truth = make_truth(NightSpec())
    chosen = np.flatnonzero(truth.stars.kind != "constant")
    assert truth.stars.mag[chosen].max() <= 14.5
    for i in range(truth.spec.n_frames):
        x, y = (p[chosen] for p in truth.positions(i))
        assert min(x.min(), y.min(), (511 - x).min(), (511 - y).min()) > 15
    for k in chosen:
        distance = np.hypot(truth.stars.x - truth.stars.x[k], truth.stars.y - truth.stars.y[k])
        assert np.sort(distance)[1] > 6 * truth.spec.mean_fwhm
