"""Quads: equal for equal figures, however turned, scaled, moved or mirrored; and picks by cells."""

import numpy as np
import pytest

from pipeline.sky.astrometry.bright_picks import brightest_by_cell
from pipeline.sky.astrometry.quads import quads


@pytest.mark.parametrize("mirrored", [False, True])
def test_codes_do_not_change_with_place_angle_and_scale(rng: np.random.Generator, mirrored: bool) -> None:
    places = rng.uniform(0, 1, (14, 2))
    turn, shift = 3.7 * np.exp(2.1j), 40 - 9j
    z = places[:, 0] + 1j * places[:, 1]
    w = turn * (np.conj(z) if mirrored else z) + shift
    one = quads(places, 0.2, 0.8, 10**6)
    other = quads(np.column_stack([w.real, w.imag]), 0.2 * 3.7, 0.8 * 3.7, 10**6)
    assert len(one.length) > 50
    codes = one.mirrored() if mirrored else one.codes
    first = {tuple(stars): code for stars, code in zip(one.stars.tolist(), codes, strict=True)}
    assert set(first) == set(map(tuple, other.stars.tolist()))
    for stars, code in zip(other.stars.tolist(), other.codes, strict=True):
        np.testing.assert_allclose(code, first[tuple(stars)], atol=1e-9)
    np.testing.assert_allclose(np.sort(other.length), np.sort(one.length) * 3.7)


def test_every_quad_is_found_once(rng: np.random.Generator) -> None:
    places = rng.uniform(0, 1, (9, 2))
    z = places[:, 0] + 1j * places[:, 1]
    expected = set()
    for i in range(9):
        for j in range(i):
            inside = [k for k in range(9) if k not in (i, j) and abs(z[k] - (z[i] + z[j]) / 2) < abs(z[i] - z[j]) / 2]
            if 0.3 <= abs(z[i] - z[j]) <= 0.9:
                expected |= {(frozenset((i, j)), frozenset((k, m))) for k in inside for m in inside if k < m}
    found = [(frozenset(one[:2]), frozenset(one[2:])) for one in quads(places, 0.3, 0.9, 10**6).stars.tolist()]
    assert len(found) == len(set(found))
    assert set(found) == expected


def test_too_few_places_have_no_quads() -> None:
    for number in (0, 1, 3):
        assert quads(np.arange(2.0 * number).reshape(number, 2) ** 2, 0.0, 100.0, 10).codes.shape == (0, 4)


def test_picks_are_the_brightest_of_each_cell(rng: np.random.Generator) -> None:
    places, brightness = rng.uniform(0, 100, (500, 2)), rng.normal(0, 1, 500)
    brightness[:50] = np.nan
    places[0] = 0  # cells start at the least coordinates
    picked = brightest_by_cell(places, brightness, (25.0, 50.0), 3)
    cell = (places[:, 0] // 25).astype(int) * 2 + (places[:, 1] // 50).astype(int)
    expected = [np.argsort(np.where(cell == one, -np.nan_to_num(brightness, nan=-9), np.inf))[:3] for one in range(8)]
    assert sorted(picked.tolist()) == sorted(np.concatenate(expected).tolist())
    assert set(picked[:8].tolist()) == {int(one[0]) for one in expected}
    assert brightest_by_cell(np.empty((0, 2)), np.empty(0), (1.0, 1.0), 3).tolist() == []
