"""Bad frames are found by name and number; good ones are kept through a night's changes."""

import numpy as np
import pytest
from numpy.typing import NDArray

from pipeline.stack.frame_selection import Selection, select

N = 200
Array = NDArray[np.float64]


def _night(rng: np.random.Generator, trend: Array | None = None) -> dict[str, Array]:
    trend = np.ones(N) if trend is None else trend
    return {
        "star_count": rng.poisson(400 * trend).astype(float),
        "background_rms": 10 / np.sqrt(trend) * rng.normal(1, 0.01, N),
        "fwhm": 2.5 / trend**0.3 * rng.normal(1, 0.04, N),
        "ellipticity": np.abs(rng.normal(0.12, 0.03, N)),
        "alignment_rms": np.abs(rng.normal(0.12, 0.02, N)),
    }


def _bad(selection: Selection) -> list[int]:
    return np.flatnonzero(~selection.good).tolist()


@pytest.mark.parametrize(
    "trend",
    [
        pytest.param(np.ones(N), id="even"),
        pytest.param(np.linspace(1, 0.5, N), id="airmass"),
        pytest.param(np.linspace(0.5, 1, N), id="rising"),
        pytest.param(1 - 0.5 * np.exp(-np.arange(N)[::-1] / 25), id="twilight"),
        pytest.param(1 + 0.15 * np.sin(np.arange(N) / 12), id="wavering"),
    ],
)
def test_good_frames_are_kept(rng: np.random.Generator, trend: Array) -> None:
    kept = [select(**_night(rng, trend)).good.mean() for _ in range(10)]
    assert np.mean(kept) > 0.97
    assert min(kept) > 0.95


def test_a_night_without_scatter_rejects_nothing() -> None:
    night = {"star_count": np.full(50, 300.0), "background_rms": np.full(50, 10.0), "fwhm": np.full(50, 2.5)}
    night["star_count"][7], night["background_rms"][8], night["fwhm"][9] = 310, 10.3, 2.6
    assert select(**night).good.all()


def test_bad_frames_are_named(rng: np.random.Generator) -> None:
    night = _night(rng)
    night["star_count"][20], night["star_count"][30] = 170, 800
    night["background_rms"][40] = 15
    night["fwhm"][50] = 5.0
    night["ellipticity"][60], night["ellipticity"][61] = 0.45, 0.75
    night["alignment_rms"][70] = 0.9
    chosen = select(**night)
    for i, word in {
        20: "star count 170 below",
        30: "star count 800 above",
        40: "background rms 15 above",
        50: "FWHM 5 above",
        60: "ellipticity 0.45 above",
        61: "smeared",
        70: "alignment rms 0.9 above",
    }.items():
        assert word in chosen.reason[i]
        assert not chosen.good[i]
    assert len(_bad(chosen)) <= 7 + 4
    assert "(3 sigma)" in chosen.reason[20]
    assert "(5 sigma)" in chosen.reason[40]
    assert all(not reason for reason, good in zip(chosen.reason, chosen.good, strict=True) if good)


def test_less_background_noise_is_never_a_fault(rng: np.random.Generator) -> None:
    night = _night(rng)
    night["background_rms"][40] = 4
    night["fwhm"][50] = 1.5
    assert select(**night).good[[40, 50]].all()


def test_failed_frames_are_not_good(rng: np.random.Generator) -> None:
    night = _night(rng)
    for values in night.values():
        values[5] = np.nan
    night["alignment_rms"][6] = np.nan
    night["star_count"][7] = 0
    chosen = select(**night)
    assert not chosen.good[[5, 6, 7]].any()
    assert chosen.reason[5].startswith("no star count; no background rms")
    assert chosen.reason[6] == "no alignment rms"
    assert chosen.reason[7] == "no star found"


def test_a_short_cloud_and_a_long_one(rng: np.random.Generator) -> None:
    night = _night(rng)
    night["star_count"][30:36] *= 0.5
    night["star_count"][80:150] *= 0.15
    chosen = select(**night)
    assert not chosen.good[30:36].any()
    assert not chosen.good[80:150].any()
    assert "of the night's" in chosen.reason[100]
    clear = np.ones(N, np.bool_)
    clear[30:36] = clear[80:150] = False
    assert chosen.good[clear].mean() > 0.95


def test_a_bad_start_does_not_spoil_the_rest(rng: np.random.Generator) -> None:
    night = _night(rng)
    night["fwhm"][:5] *= 2.0
    chosen = select(**night)
    assert not chosen.good[:5].any()
    assert chosen.good[5:].mean() > 0.95


def test_few_frames(rng: np.random.Generator) -> None:
    assert select([100, 105, 97], [10, 10.1, 9.9]).good.tolist() == [True] * 3
    assert select([100, 105, 97, 20], [10, 10.1, 9.9, 10]).good.tolist() == [True, True, True, False]
    assert select([50], [3.0]).good.tolist() == [True]
    assert select([50, 45], [3.0, 3.0], transparency=[1.0, 0.2]).good.tolist() == [True, True]
    assert select([50, 45, 50], [3.0, 3.0, 3.0], transparency=[1.0, 0.2, 1.0]).good.tolist() == [True, False, True]
    assert select([], []).reason == []
    assert select([np.nan, np.nan], [np.nan, 1]).good.tolist() == [False, False]


def test_a_thin_cloud_that_hides_no_star(rng: np.random.Generator) -> None:
    night = _night(rng, np.linspace(1, 0.7, N))
    night["transparency"] = np.linspace(1, 0.55, N) * rng.normal(1, 0.01, N)
    night["transparency"][60:65] *= 0.7
    night["transparency"][150] = np.nan  # unknown is no fault
    night["transparency"][100] *= 1.4  # nor is more light
    chosen = select(**night)
    assert not chosen.good[60:65].any()
    assert all("transparency" in reason for reason in chosen.reason[60:65])
    assert "transparency" not in chosen.reason[100] + chosen.reason[150]
    assert chosen.good.mean() > 0.93
    night["transparency"][80:150] *= 0.3
    assert "of the night's" in select(**night).reason[120]
