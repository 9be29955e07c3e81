"""`tianyu analyze --all-nights` as it is typed, on made-up nights of one star that pulsates."""

import json
from datetime import date
from pathlib import Path

import numpy as np
import pytest
from matplotlib.image import imread
from sqlalchemy import select, update
from sqlalchemy.orm import Session

from schema.image import Image
from schema.photometry import RelativeFlux
from tests.integration.command_line import tianyu
from tests.unit.services import made_up
from tests.unit.services.made_up import GRAPH_PID, MadeUp

PERIOD, AMPLITUDE = 0.0437, 0.05
DAYS = (0.0, 1.0, 4.0)


@pytest.fixture
def star(session: Session) -> int:
    """A pulsator on three nights of 0.12 d, each normalised by its own median, one with a wild point on a bad frame."""
    first: MadeUp | None = None
    for number, day in enumerate(DAYS):
        observation = made_up.add_observation(session, night=date(2024, 3, 4 + int(day)))
        pid = GRAPH_PID + 10_000 * number
        rng = np.random.default_rng(number)
        made = made_up.add_light_curves(session, observation, rng, n_stars=12, first_pid=pid, known=first, dip=0.0)
        first = first or made
        moved = {name: getattr(Image, name) + day for name in ("jd_utc", "bjd_tdb")}
        session.execute(update(Image).where(Image.graph_pid == pid).values(moved))
        _pulsate(session, made)
        session.execute(
            update(RelativeFlux)
            .where(RelativeFlux.source_id == made.variable, RelativeFlux.image_id == int(made.image_ids[5]))
            .values(flux=9.0)
        )
    session.commit()
    assert first is not None
    return first.variable


def _pulsate(session: Session, made: MadeUp) -> None:
    rows = session.execute(
        select(RelativeFlux.image_id, RelativeFlux.aperture, RelativeFlux.flux, Image.bjd_tdb)
        .join(Image, Image.image_id == RelativeFlux.image_id)
        .where(RelativeFlux.source_id == made.variable, RelativeFlux.pid == made.calibration_pid)
    ).all()
    wave = 10 ** (-0.4 * AMPLITUDE * np.sin(2 * np.pi * np.array([row.bjd_tdb - made_up.JD0 for row in rows]) / PERIOD))
    level = float(np.median(wave))
    for row, factor in zip(rows, wave.tolist(), strict=True):
        session.execute(
            update(RelativeFlux)
            .where(
                RelativeFlux.source_id == made.variable,
                RelativeFlux.pid == made.calibration_pid,
                RelativeFlux.image_id == row.image_id,
                RelativeFlux.aperture == row.aperture,
            )
            .values(flux=row.flux * factor / level)
        )


def test_the_nights_of_a_star_give_its_period(star: int) -> None:
    found = json.loads(tianyu("analyze", "--source", str(star), "--all-nights", "--json").stdout)
    assert found["observations"] == [1, 2, 3]
    assert found["points"] == 3 * 57  # three of sixty frames of each night are not good
    assert found["time"] == "BJD_TDB"
    assert found["period_d"] == pytest.approx(PERIOD, abs=4 * found["period_error_d"])
    assert found["period_error_d"] < 1e-4 * PERIOD
    assert found["amplitude_mag"] == pytest.approx(AMPLITUDE, rel=0.05)
    assert found["false_alarm"] < 1e-30
    relations = {other["relation"] for other in found["alternatives"]}
    assert {"+1 cycle a day", "−1 cycle a day", "twice the period"} <= relations
    # sin is at its greatest, and the star faintest, a quarter of a period after the start.
    assert ((found["faintest"] - made_up.JD0) / PERIOD - 0.25 + 0.5) % 1.0 == pytest.approx(0.5, abs=0.03)
    assert imread(found["plot"])[..., :3].std() > 0.02, "the picture is blank"


def test_an_observation_says_which_star_is_meant(star: int) -> None:
    told = tianyu("analyze", "2", "--source", str(star), "--all-nights", "--output", "folder")
    assert told.exit_code == 0
    assert "points of observation 1, 2, 3" in told.stdout
    assert "period" in told.stdout
    assert "+1 cycle a day" in told.stdout
    assert Path(f"folder/{star}_period.png").exists()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--all-nights",), "give one of them"),
        (("--source", "3"), "which observation?"),
        (("--source", "3", "--xy", "1,1", "--all-nights"), "give one of them"),
        (("--source", "999", "--all-nights"), "none of the 3 observations"),
    ],
)
def test_what_is_lacking_is_said(star: int, words: tuple[str, ...], said: str) -> None:
    told = tianyu("analyze", *words)
    assert told.exit_code == 1
    assert said in " ".join(told.output.split())
