"""What `tianyu run` prints of many nights: a line each."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from sqlalchemy.orm import Session

from schema.processes import SUCCEEDED, Process
from schema.queries import images
from services.cli.summary_lines import Result, print_as_json, show_results
from services.operating.status import status
from services.results.summary.numbers import summarize
from tests.integration import json_keys
from tests.unit.services import made_up
from tests.unit.services.made_up import GRAPH_PID

FRAMES = 30


def test_the_line_of_a_night_says_that_none_of_its_flats_were_good(
    session: Session, capsys: pytest.CaptureFixture[str]
) -> None:
    """The master's process succeeded, for saturated flats are an answer and no failure, and made no image."""
    observation = made_up.add_observation(session)
    made_up.add_frames(session, observation, FRAMES)
    made = made_up.add_light_curves(session, observation, np.random.default_rng(3), n_stars=8, n_frames=FRAMES)
    flat, calibrate = GRAPH_PID + 700, GRAPH_PID + 701
    made_up.add_process(session, flat, "combine_flat", SUCCEEDED, made.observation_id)
    made_up.add_process(session, calibrate + 1, "calibrate_relative", SUCCEEDED, made.observation_id)
    made_up.add_process(session, calibrate, "calibrate", SUCCEEDED, made.observation_id)
    session.get_one(Process, calibrate).parameters = json.dumps({"frame": 1, "flat": flat})
    image = {"kind": "calibrated", "site_id": 1, "path": "x.fits", "graph_pid": GRAPH_PID, "pid": calibrate}
    images.add_image(session, **image, observation_id=made.observation_id)
    session.flush()
    [state] = status(session, made.observation_id)
    summary = summarize(session, made.observation_id)
    assert summary.no_good == ("flat",)
    good = Result(state, replace(summary, no_good=()))
    assert good.is_made
    show_results([good, good, good, replace(good, summary=summary)])
    lines = [line for line in capsys.readouterr().out.splitlines() if "light curves" in line]
    assert ["no good flat" in line for line in lines if "note" not in line] == [False, False, False, True]
    drawn = Path("plots") / "frames.png"
    print_as_json([good, replace(good, summary=summary)], Path("tianyu.db"), lambda _: [drawn])
    told = json_keys.parse(capsys.readouterr().out)
    rejected = {f"observations[].summary.rejected[].{name}" for name in ("reason", "frames")}
    pages = json_keys.documented()
    assert (
        {*json_keys.keys_of(told), *rejected} - pages["tianyu status"] == pages["tianyu run"] == pages["tianyu watch"]
    )
    assert [one["summary"]["no_good"] for one in told["observations"]] == [[], ["flat"]]
    assert [one["plots"] for one in told["observations"]] == [[str(drawn)]] * 2
    assert told["observations"][0]["summary"]["bright_scatter"] == summary.bright_scatter
