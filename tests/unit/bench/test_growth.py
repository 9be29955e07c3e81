"""What the benches of growth, of consumers and of peers compute by themselves."""

import numpy as np
import pytest

from bench.consumers.cores import Cores, Machine
from bench.growth.exponent import at_the_end, marginal, plain
from bench.peers.source_extractor_way import common_shift

SIZES = [60, 120, 250, 500, 999]


@pytest.mark.parametrize("power", [0.9, 1.0, 1.3, 2.0])
def test_the_exponent_is_that_of_what_is_added(power: float) -> None:
    """A start that all sizes pay does not hide it."""
    costs = [3.0 + 0.002 * size**power for size in SIZES]
    start, slope, found = marginal(SIZES, costs)
    assert found == pytest.approx(power, abs=0.01)
    assert start == pytest.approx(3.0, rel=0.02)
    assert slope == pytest.approx(0.002, rel=0.05)
    assert at_the_end(SIZES, costs) < power


def test_what_does_not_grow_has_exponent_nought() -> None:
    assert plain(SIZES, [0.5] * 5) == pytest.approx(0, abs=1e-12)
    assert plain(SIZES, [size**0.3 for size in SIZES]) == pytest.approx(0.3)


TWO = 2.0  # cores


@pytest.mark.parametrize(
    ("workers", "database", "busy", "waiting", "limit"),
    [
        (1.0, 0.1, 1.0 * TWO, 0.0, "CPU"),
        (0.2, 0.1, 0.4, 0.5 * TWO, "disk"),
        (0.2, 0.95, 0.6 * TWO, 0.0, "MariaDB"),
        (0.95, 0.1, 0.6 * TWO, 0.0, "the workers"),
        (0.5, 0.1, 0.5 * TWO, 0.0, "waiting"),
    ],
)
def test_the_limit_is_what_is_used_up(workers: float, database: float, busy: float, waiting: float, limit: str) -> None:
    used = {"workers": 10 * workers, "MariaDB": 10 * database, "RabbitMQ": 0.5}
    before, after = Machine(0, 0, 0), Machine(10 * (TWO - busy - waiting), 10 * waiting, 10 * busy)
    cores = Cores.between(before, after, used, 10.0)
    assert cores.own + cores.others == pytest.approx(max(busy, cores.own))
    assert cores.limit(1, TWO).startswith(limit)


def test_the_shift_is_what_most_pairs_agree_about() -> None:
    random = np.random.default_rng(1)
    stars = random.uniform(0, 2000, (50, 2))
    found = np.concatenate([stars[:40] + np.array([31.2, -17.4]), random.uniform(0, 2000, (60, 2))])
    np.testing.assert_allclose(common_shift(stars, found), (31.2, -17.4), atol=0.3)
