"""The trend filtering algorithm, and what it costs a signal."""

from dataclasses import replace

import numpy as np
import pytest

from pipeline.detrend import detrend_tfa
from pipeline.detrend.tfa import MAX_TEMPLATES
from tests.unit.detrend.nights import DetrendNight


def test_systematics_of_the_field_go() -> None:
    night = DetrendNight(1, 0.004, own=0.1)
    before, after = (night.over_white(flux) for flux in (night.field().curves.flux, detrend_tfa(night.field()).flux))
    assert np.quantile(before, 0.8) > 1.5
    assert np.quantile(after, 0.8) < 1.1


def test_signals_are_weakened_as_the_documentation_says() -> None:
    """18 templates of 180 epochs imitate 10 % of what is fast, and more of what is slow."""
    lost = []
    for seed in range(4):
        night = DetrendNight(seed, 0.0)
        found = detrend_tfa(night.field())
        assert len(found.trends) == 18
        lost.append([1.0 - ratio.mean() for ratio in night.amplitudes(found.flux)])
    transit, sine = np.mean(lost, axis=0)
    assert 0.01 < transit < 0.15
    assert 0.05 < sine < 0.2


def test_neither_the_star_nor_its_neighbours_are_templates() -> None:
    """A companion 10 px away varies alike; as a template it takes the variation off, as a neighbour it must not."""
    night = DetrendNight(2, 0.0)
    star, companion = np.argsort(-night.brightness)[:2]
    wave = 0.003 * np.sin(np.arange(180) / 9.0)
    night.flux[[star, companion]] += wave
    constant = (night.brightness < 1e5) & ~night.variable
    constant[[star, companion]] = True  # as if nobody had noticed that they vary
    kept = []
    for distance in (10.0, 500.0):
        night.xy[companion] = night.xy[star] + [distance, 0.0]
        found = detrend_tfa(replace(night.field(), constant=constant))
        kept.append((found.flux[star] - 1.0) @ wave / (wave @ wave))
    near, far = kept
    assert near > 0.7
    assert far < 0.5 * near


@pytest.mark.parametrize(("epochs", "templates"), [(8, 0), (60, 6), (180, 18)])
def test_templates_are_few_enough_for_the_epochs(epochs: int, templates: int) -> None:
    night = DetrendNight(3, 0.002)
    night.good[epochs:] = False
    found = detrend_tfa(night.field())
    assert len(found.trends) == templates <= MAX_TEMPLATES
    if not templates:
        np.testing.assert_array_equal(found.flux, night.field().curves.flux)
