"""Stars as operators name them, in the settings and among the sources of an observation."""

import numpy as np
import pytest

from services.errors import ConfigurationError, DataError
from services.settings import load
from services.steps.shared.gaia_stars import GaiaStars
from services.steps.shared.graph_fluxes import GraphAxes
from services.steps.shared.named_stars import NamedStars, named_roles

RADEC = np.array([[31.0, 46.0], [31.01, 46.0], [359.9999, -0.5]])


def axes(radec: np.ndarray = RADEC) -> GraphAxes:
    return GraphAxes(
        source_ids=np.array([11, 12, 13]),
        xy=np.array([[110.0, 20.0], [200.0, 20.0], [150.0, 70.0]]),
        on_first=np.array([[10.0, 20.0], [100.0, 20.0], [50.0, 70.0]]),
        brightness=np.ones(3),
        radec=radec,
        image_ids=np.arange(4),
        good=np.ones(4, dtype=bool),
        time=np.arange(4.0),
        apertures=[0],
        gaia=GaiaStars.unknown(3),
    )


@pytest.mark.parametrize(
    ("name", "source"),
    [
        ("12", 12),
        ("11.5,17.5", 11),
        ("100,20", 12),
        ("02:04:00,+46:00:01", 11),
        ("02:04:02.4,46:00:00", 12),
        ("31.0101d,46.0d", 12),
        ("30.9982d,46.0d", 11),  # 4.5 arcsec away, since a degree of right ascension is shorter there
        ("0.0001d,-0.5d", 13),  # across 0 h
        ("23:59:59.99,-00:30:01", 13),  # the sign belongs to the whole
    ],
)
def test_a_star_is_found_by_id_pixels_or_sky(name: str, source: int) -> None:
    found = named_roles(NamedStars(targets=(name,)), axes())
    assert axes().source_ids[found.target].tolist() == [source]
    assert not (found.reference | found.check).any()


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("9", "there is no source 9"),
        (
            "13.5,16.2",
            r"no source within 5 px of star 13.5,16.2: the nearest is source 11 at x = 10.0, y = 20.0, 5.2 px",
        ),
        ("31.01d,46.002d", r"the nearest is source 12 at x = 100.0, y = 20.0, 7.2 arcsec away"),
    ],
)
def test_a_star_that_is_not_there_is_told_with_its_nearest(name: str, message: str) -> None:
    with pytest.raises(DataError, match=message):
        named_roles(NamedStars(references=(name,)), axes())


def test_sky_positions_need_sky_coordinates() -> None:
    with pytest.raises(DataError, match="no sky coordinates; name it by pixels"):
        named_roles(NamedStars(targets=("31.0d,46.0d",)), axes(np.full((3, 2), np.nan)))


def test_a_star_has_one_role() -> None:
    with pytest.raises(DataError, match=r"source 12 .* is named in two of manual_targets"):
        named_roles(NamedStars(targets=("12",), checks=("100,21",)), axes())


@pytest.mark.parametrize(
    "text", ["", "x", "1,2,3", "1;2", "1e5,2", "02:04,+46:00", "31d,46", "１２", "1,2\n", "1" * 30]
)
def test_what_names_no_star_is_an_error_of_the_settings(text: str) -> None:
    with pytest.raises(ConfigurationError, match="names no star: expected pixels of the first frame"):
        load(manual_targets=(text,))


def test_settings_take_every_form() -> None:
    names = ("424.5,286", "17", "02:04:10.3,+46:41:16", "31.043d,46.688d")
    assert load(relative_methods=("manual",), manual_targets=names).manual_targets == names
