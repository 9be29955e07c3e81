"""The summary's numbers are those of the made-up observation."""

import re

import numpy as np
import pytest
from sqlalchemy import update
from sqlalchemy.orm import Session

from schema.image import MASTER_BIAS, Image
from schema.observing import Observation
from schema.photometry import RelativeCalibration, ZeroPoint
from schema.processes import FAILED, SUCCEEDED, Process
from schema.queries import images
from schema.skies import PlateSolution
from services.errors import ConfigurationError
from services.results.summary.numbers import Rejection, SkySummary, group_reasons, summarize
from tests.unit.services import made_up
from tests.unit.services.made_up import GRAPH_PID, MadeUp
from tests.unit.services.made_wcs import made_wcs

STARS, FRAMES = 100, 60


def make(session: Session, stars: int = STARS) -> MadeUp:
    observation = made_up.add_observation(session)
    frames = made_up.add_frames(session, observation, FRAMES + 1)
    session.execute(
        update(Image).where(Image.image_id == frames[0]).values(good=False, reject_reason="file 'a' is empty")
    )
    return made_up.add_light_curves(session, observation, np.random.default_rng(3), n_stars=stars, n_frames=FRAMES)


def test_frames_stars_and_precision(any_session: Session) -> None:
    made = make(any_session)
    found = summarize(any_session, made.observation_id)
    assert (found.frames, found.used, found.sources, found.reference_stars) == (61, 57, 100, 12)
    assert found.light_curves == 100
    assert found.rejected[0] == Rejection("15 stars, expected 40 to 60", 2)
    assert set(found.rejected[1:]) == {Rejection("could not be aligned", 1), Rejection("file 'a' is empty", 1)}
    # Stars 1 to 10: star 0 is saturated, and its scatter of 10 % must not be in the median.
    assert found.bright_stars == 10
    assert found.bright_error is not None
    assert found.bright_scatter == pytest.approx(found.bright_error, rel=0.15)
    source_noise = np.sqrt(1 / (made_up.GAIN * made.flux[1:11]))
    assert np.median(source_noise) < found.bright_error < 1.5 * np.median(source_noise)
    assert found.bright_error_mmag == pytest.approx(1085.7 * found.bright_error, rel=1e-3)


def test_light_curves_of_another_calibration_do_not_count(session: Session) -> None:
    made = make(session, 8)
    session.execute(update(Observation).values(calibration_pid=made.calibration_pid + 1))
    assert summarize(session, made.observation_id).light_curves == 0


def test_poor_fields_are_told_of(session: Session) -> None:
    made = make(session, 8)
    pid = made_up.GRAPH_PID + 900
    made_up.add_process(session, pid, "calibrate_relative", SUCCEEDED, made.observation_id)
    for aperture, (groups, relaxation) in enumerate(((1, "neighbours"), (4, "none"))):
        session.add(
            RelativeCalibration(
                pid=pid,
                aperture=aperture,
                observation_id=made.observation_id,
                method="paper",
                reference_stars=6,
                reference_groups=groups,
                relaxation=relaxation,
            )
        )
    notes = summarize(session, made.observation_id).notes
    assert "few good reference stars: method paper let in stars with near neighbours" in notes
    assert "few reference stars: method paper made 1 group instead of at least 9" in notes


def test_notes_tell_what_is_missing(session: Session) -> None:
    made = make(session, 8)
    parent = images.add_image(session, kind=MASTER_BIAS, site_id=1, path="master_bias/1.fits")
    images.add_image(
        session,
        kind="calibrated",
        site_id=1,
        path="calibrated/x.fits",
        pid=made_up.GRAPH_PID + 500,
        graph_pid=made_up.GRAPH_PID,
        observation_id=made.observation_id,
        parents=[parent],
    )
    made_up.add_process(session, made_up.GRAPH_PID + 600, "extract", "failed", made.observation_id, error="x")
    notes = summarize(session, made.observation_id).notes
    [without] = [note for note in notes if note.startswith("calibrated without")]
    assert re.fullmatch(r"calibrated without dark, flat \(.*\); bias \(.*, 60 of 61 frames\)", without)
    assert any(note.startswith("1 of 61 calibrated frames of unknown gain") for note in notes)
    assert any(note.startswith("1 of 61 calibrated frames without a time") for note in notes)
    assert any(note.startswith("1 process failed") for note in notes)


def test_frames_that_were_never_judged_are_said(session: Session) -> None:
    observation = made_up.add_observation(session)
    made_up.add_frames(session, observation, 4)
    found = summarize(session, observation)
    assert (found.frames, found.used, found.bright_stars, found.bright_scatter) == (4, 0, 0, None)
    assert "4 frames are neither used nor rejected: their processes did not get that far" in found.notes


def test_reasons_that_differ_in_numbers_and_names_are_one_kind() -> None:
    reasons = ["file 'b.fits' is 3 bytes", "cloudy", "file 'c.fits' is 17 bytes", "file 'd.fits' is -2.5e3 bytes"]
    assert group_reasons(reasons) == (Rejection("file 'b.fits' is 3 bytes", 3), Rejection("cloudy", 1))


def test_unknown_observation(session: Session) -> None:
    with pytest.raises(ConfigurationError, match="there is no observation 4"):
        summarize(session, 4)


def test_the_sky_of_a_solved_field(any_session: Session) -> None:
    made = make(any_session, 30)
    wcs = made_wcs(scale=0.72, centre=(150.0, 100.0))
    made_up.solve_field(any_session, made, wcs)
    for number in (2, 3, 5):
        made_up.name_in_gaia(any_session, int(made.source_ids[number]), 10 + number, 12.0)
    for pid, command in ((20, "crossmatch"), (21, "zero_point")):
        made_up.add_process(any_session, GRAPH_PID + pid, command, SUCCEEDED, made.observation_id)
    assert summarize(any_session, made.observation_id).sky == SkySummary(
        pixel_scale_arcsec=pytest.approx(0.72, rel=1e-6),
        position_angle_deg=pytest.approx(wcs.position_angle((200, 300)), abs=1e-6),
        mirrored=wcs.mirrored,
        matches=40,
        rms_arcsec=0.21,
        gaia_sources=3,
    )
    columns = dict.fromkeys(("colour_term", "colour_reference", "field_u", "field_v"), 0.0)
    columns |= dict.fromkeys(("field_uu", "field_uv", "field_vv", "zero_point", "scatter"), 0.0)
    for aperture, error in ((0, 0.020), (1, 0.006)):
        for image_id, more in zip(made.image_ids[:3].tolist(), (-0.001, 0.0, 0.001), strict=True):
            row = {"pid": GRAPH_PID + 21, "image_id": image_id, "aperture": aperture, "stars": 40 + 10 * aperture}
            row |= {"observation_id": made.observation_id, "zero_point_error": error + more}
            any_session.add(ZeroPoint(**row, **columns))
    any_session.execute(update(Observation).values(zero_point_pid=GRAPH_PID + 21))
    found = summarize(any_session, made.observation_id).sky
    assert (found.zero_point_error_mmag, found.zero_point_stars) == (pytest.approx(6.0), 50)


def test_what_the_sky_lacks_is_told_with_what_to_do(session: Session) -> None:
    made = make(session, 8)
    lacking = summarize(session, made.observation_id).sky
    assert f"tianyu rerun --from solve {made.observation_id}" in str(lacking.unsolved)
    assert "catalog_file" in str(lacking.gaia_missing)
    solve, crossmatch, zero_point = (GRAPH_PID + number for number in (20, 21, 22))
    made_up.add_process(session, solve, "solve", SUCCEEDED, made.observation_id)
    session.add(PlateSolution(pid=solve, image_id=0, solved=False, reason="no index files in /nowhere"))
    made_up.add_process(session, crossmatch, "crossmatch", FAILED, made.observation_id, error="the archive is away")
    made_up.add_process(session, zero_point, "zero_point", "skipped", made.observation_id)
    told = summarize(session, made.observation_id).sky
    assert told.unsolved == "no index files in /nowhere"
    assert str(told.gaia_missing).startswith("crossmatch failed")
    assert f"`tianyu retry {crossmatch}`" in str(told.gaia_missing)
    assert told.zero_point_missing == "zero_point is skipped"
    session.execute(update(Process).where(Process.pid == crossmatch).values(status=SUCCEEDED))
    assert summarize(session, made.observation_id).sky.gaia_missing == "no source has sky coordinates"
