"""From the settings to circles on a frame."""

import numpy as np
import pytest

from pipeline.aperture.kron import Ellipses
from schema.image import Image
from schema.photometry import Aperture
from services.choices import Choices
from services.errors import ConfigurationError
from services.settings import load
from services.steps.shared.apertures import choose_apertures, on_frame

FRAMES = [Image(fwhm=value) for value in (3.0, 4.0, 8.0)]


def rows(choices: Choices) -> list[Aperture]:
    return [Aperture(graph_pid=1, observation_id=1, **row) for row in choose_apertures(choices, FRAMES)]


def test_without_settings_radii_are_fixed_multiples_of_the_median() -> None:
    made = rows(Choices())
    assert [(a.radius, a.factor, a.kind, a.sky) for a in made] == [
        (radius, None, "circle", "annulus") for radius in (3.4, 4.8, 6.8)
    ]
    assert on_frame(made, 9.0, None).radii == (3.4, 4.8, 6.8)


def test_negative_radii_follow_each_frame() -> None:
    made = rows(Choices(aperture_radii=(-1.5, 5.0, -1.0)))
    assert [(a.radius, a.factor) for a in made] == [(6.0, 1.5), (5.0, None), (4.0, 1.0)]
    assert on_frame(made, 3.0, None).radii == (4.5, 5.0, 3.0)
    assert on_frame(made, None, None).radii == (6.0, 5.0, 4.0), "a frame without stars"


def test_the_sky_stays_outside_the_largest_circle() -> None:
    made = rows(Choices(aperture_radii=(-2.0, 20.0)))
    assert made[0].annulus_inner == 24.0
    usual, bad = on_frame(made, 4.0, None), on_frame(made, 14.0, None)
    assert usual.annulus == (made[0].annulus_inner, made[0].annulus_outer)
    assert bad.radii == (28.0, 20.0)
    assert bad.annulus[0] == 42.0
    assert bad.annulus[1] - bad.annulus[0] == pytest.approx(usual.annulus[1] - usual.annulus[0])


def test_a_kron_aperture_comes_last_and_a_global_sky_is_the_frames() -> None:
    made = rows(Choices(kron=True, aperture_sky="global"))
    assert [a.kind for a in made] == ["circle"] * 3 + ["kron"]
    ellipses = Ellipses(np.ones(2), np.ones(2), np.zeros(2))
    found = on_frame(made, 4.0, ellipses)
    assert found.ellipses is ellipses
    assert found.number == 4
    assert not found.local
    assert on_frame(rows(Choices()), 4.0, None).ellipses is None


@pytest.mark.parametrize("radii", ["[]", "[0.0]", "[2.0, 2.0]", "[NaN]", "[-Infinity]"])
def test_radii_that_cannot_be(monkeypatch: pytest.MonkeyPatch, radii: str) -> None:
    monkeypatch.setenv("TIANYU_APERTURE_RADII", radii)
    with pytest.raises(ConfigurationError, match="aperture_radii"):
        load()
