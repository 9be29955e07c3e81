import numpy as np
import pytest

from pipeline.relative.constancy import varying_stars
from tests.unit.made_curves import curves

EPOCHS = 240
GOOD = np.ones(EPOCHS, dtype=bool)
HOURS = np.linspace(0.0, 6.0, EPOCHS)


class Stars:
    """Constant stars with the noise that is quoted, from 1 mmag to 30, the brightest last."""

    def __init__(self, seed: int, n: int = 300) -> None:
        self.rng = np.random.default_rng(seed)
        self.brightness = np.geomspace(1.0, 30.0, n)
        self.noise = 0.03 / self.brightness
        self.flux = 1.0 + self.noise[:, None] * self.rng.normal(size=(n, EPOCHS))
        self.error = np.broadcast_to(self.noise[:, None], self.flux.shape)

    def varying(self) -> np.ndarray:
        return np.flatnonzero(varying_stars(curves(self.flux, self.error, good=GOOD), self.brightness))


@pytest.mark.parametrize("quoted", [0.5, 1.0, 2.0])
def test_constant_stars_are_constant_whatever_the_errors_claim(quoted: float) -> None:
    stars = Stars(0)
    stars.error = quoted * stars.error
    assert stars.varying().size <= 2  # the logarithm of a variance of 11 degrees of freedom has a long tail


def test_a_floor_that_bright_stars_share_is_no_variation() -> None:
    """Flat fields leave 5 mmag in every star: the brightest scatter by five times what is quoted."""
    stars = Stars(1)
    stars.flux += 0.005 * stars.rng.normal(size=stars.flux.shape)
    assert stars.varying().size <= 2


@pytest.mark.parametrize(
    ("kind", "noises"),
    [("sine", 1.3), ("transit", 1.5), ("eclipse", 20.0), ("flare", 30.0), ("pulses", 2.0)],
)
def test_variables_stand_out(kind: str, noises: float) -> None:
    """Amplitudes in units of the star's noise: slow variations are found below the scatter of single points."""
    stars = Stars(2)
    shape = {
        "sine": np.sin(HOURS),
        "transit": -1.0 * (np.abs(HOURS - 3.0) < 1.0),
        "eclipse": -1.0 * (np.abs(HOURS - 3.0) < 0.3),
        "flare": np.where(HOURS > 2.0, np.exp(-(HOURS - 2.0) / 0.1), 0.0),
        "pulses": np.sin(60.0 * HOURS),
    }[kind]
    chosen = np.arange(20, 300, 40)
    stars.flux[chosen] += noises * stars.noise[chosen, None] * shape
    found = stars.varying()
    assert set(chosen) <= set(found)
    assert found.size <= chosen.size + 2


def test_a_short_transit_stands_out_by_its_box() -> None:
    """An eighth of the night, 1.5 sigma deep: it hardly widens the single values, nor the means of twelfths."""
    stars = Stars(5)
    chosen = np.arange(20, 300, 40)
    stars.flux[chosen] -= 1.5 * stars.noise[chosen, None] * (np.abs(HOURS - 3.0) < 0.375)
    found = stars.varying()
    # S/N 7.7 on average, and 3.5 sigma of the best boxes of white noise are 4.8: not one in a hundred is missed.
    assert set(chosen) <= set(found)
    assert found.size <= chosen.size + 2


@pytest.mark.parametrize("lacking", ["nothing", "photons", "floor"])
@pytest.mark.parametrize("n", [8, 20, 75])
def test_the_bright_stars_of_a_poor_field_are_compared_with_what_its_noise_consists_of(n: int, lacking: str) -> None:
    """Photon noise that the errors lack, or a floor, makes bright stars scatter by several times what is quoted."""
    lost, found = 0, 0
    for seed in range(20):
        rng = np.random.default_rng(seed)
        brightness = 10 ** rng.uniform(4.0, 6.0, n)
        quoted = np.sqrt(3000.0 + (0.0 if lacking == "photons" else brightness)) / brightness
        true = np.sqrt(3000.0 + brightness) / brightness
        true = np.hypot(true, 0.003 if lacking == "floor" else 0.0)
        flux = 1.0 + true[:, None] * rng.normal(size=(n, EPOCHS))
        flux[0] += 3.0 * true[0] * np.sin(HOURS)
        varying = varying_stars(curves(flux, np.broadcast_to(quoted[:, None], flux.shape), good=GOOD), brightness)
        found += int(varying[0])
        lost += int(varying[1:].sum())
    # A sinusoid of 3 sigma makes the variance 5.5 times what it was: 18 sigma of 239 degrees of freedom.
    assert found >= 19
    assert lost <= 0.03 * 20 * (n - 1)


def test_one_cosmic_ray_is_no_variation() -> None:
    stars = Stars(3)
    stars.flux[150, 100] += 0.5
    assert 150 not in stars.varying()


def test_gaps_and_bad_epochs_do_not_count() -> None:
    stars = Stars(4)
    stars.flux[::3, :150] = np.nan
    stars.error = stars.error.copy()
    stars.error[1::3, 30:90] = np.nan
    good = GOOD.copy()
    good[200:] = False
    stars.flux[:, 200:] = 7.0
    assert varying_stars(curves(stars.flux, stars.error, good=good), stars.brightness).sum() <= 2


@pytest.mark.parametrize("unknown", [np.nan, 0.0, -1.0, np.inf, 1e-300])
def test_brightness_that_is_unknown_makes_nobody_a_variable(unknown: float) -> None:
    stars = Stars(6, n=40)
    stars.flux[10] += 3.0 * stars.noise[10] * np.sin(HOURS)
    stars.brightness[::2] = unknown
    assert 10 in stars.varying()
    assert stars.varying().size <= 2
    stars.brightness[:] = unknown
    assert 10 in stars.varying()
    assert stars.varying().size <= 2


def test_two_stars_tell_nothing_and_empty_ones_are_none() -> None:
    flux = np.array([[1.0, 2.0, 1.0, 2.0], [1.0, 1.0, 1.0, 1.0]])
    assert not varying_stars(curves(flux, np.full((2, 4), 0.1)), np.ones(2)).any()
    assert not varying_stars(curves(np.full((5, 4), np.nan), np.ones((5, 4))), np.ones(5)).any()
    assert varying_stars(curves(np.zeros((0, 4)), np.zeros((0, 4))), np.zeros(0)).shape == (0,)
