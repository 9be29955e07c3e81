"""`tianyu analyze` and `tianyu transit` as they are typed, on a made-up night of which one star dips."""

import json
from pathlib import Path

import numpy as np
import pytest
from astropy.table import Table
from matplotlib.image import imread
from sqlalchemy import delete, update
from sqlalchemy.orm import Session

from schema.observing import Observation
from schema.photometry import Variability
from tests.integration.analysed_night import analysed_night
from tests.integration.command_line import tianyu
from tests.unit.services import made_up
from tests.unit.services.made_up import MadeUp

DIP_MID = made_up.JD0 + 0.004 + 29.5 * made_up.CADENCE_D  # of frames 20 to 39
LATE_D = 0.006  # the dip after what the ephemeris says
PLANETS = f"""name,ephem_mid_time,ephem_mid_time_e1,ephem_period,ephem_period_e1,sma_over_rs,inclination,teff,logg
HAT-P-32b,{DIP_MID - LATE_D - 200.0:.6f},0.0005,2.0,0.00002,17.0,89.5,6200,4.2
"""


@pytest.fixture
def made(session: Session, tmp_path: Path) -> MadeUp:
    """Analysed by the step itself."""
    return analysed_night(session, tmp_path)


def test_analyze_lists_the_star_that_dips_and_draws_it(made: MadeUp) -> None:
    told = tianyu("analyze", str(made.observation_id), "--top", "3", "--output", "candidates")
    assert told.exit_code == 0
    assert "1 of 39 stars vary" in told.stdout  # the saturated one has no usable point
    assert "dip of" in told.stdout
    assert "CDPP of 0.5 h" in told.stdout
    picture = imread(f"candidates/{made.variable}.png")
    assert picture[..., :3].std() > 0.02, "the picture is blank"


def test_a_plot_never_takes_the_place_of_a_frame(made: MadeUp) -> None:
    frame = Path(f"candidates/{made.variable}.png")
    frame.parent.mkdir()
    frame.write_bytes(b"SIMPLE  =" + bytes(100))
    told = tianyu("analyze", "1", "--top", "3", "--output", "candidates")
    assert told.exit_code == 1
    assert f"{str(frame)!r} is not written: it is a FITS image" in told.output
    assert frame.read_bytes().startswith(b"SIMPLE")
    assert tianyu("analyze", "1", "--top", "3", "--output", "candidates", "--force").exit_code == 0
    assert frame.read_bytes().startswith(b"\x89PNG")


def test_analyze_for_machines(made: MadeUp) -> None:
    found = json.loads(tianyu("analyze", "1", "--source", str(made.variable), "--json").stdout)
    [star] = found["stars"]
    assert (star["source_id"], star["rank"], star["candidate"]) == (made.variable, 1, True)
    assert star["box_mid_bjd"] == pytest.approx(DIP_MID, abs=0.006)
    assert found["candidates"] == 1
    assert found["precision"]["cdpp_ratio"] == pytest.approx(1.0, abs=0.15)


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (update(Observation).values(analysis_pid=None), "has no analysed light curves yet"),
        (delete(Variability), "rerun 1 --from analyze"),
    ],
)
def test_analyze_says_what_is_lacking(session: Session, made: MadeUp, spoil: object, said: str) -> None:
    session.execute(spoil)  # type: ignore[call-overload]
    session.commit()
    told = tianyu("analyze", "1")
    assert told.exit_code == 1
    assert said in " ".join(told.output.split())


@pytest.mark.parametrize("options", [("--source", "99"), ("--target", "1,1", "--source", "4")])
def test_a_star_that_is_not_there_is_refused(made: MadeUp, options: tuple[str, ...]) -> None:
    assert tianyu("analyze", "1", *options).exit_code == 1
    assert tianyu("transit", *options).exit_code == 1


def test_transit_measures_the_dip(made: MadeUp) -> None:
    """The dip of 3 % for 20 cadences, a box: its middle to a cadence, depth and width to a tenth.

    A disc of radius ratio k hides half of its depth for 1 / (1 + k) of the time from first to fourth contact.
    """
    words = ("transit", "--source", str(made.variable), "--steps", "400", "--output", "fit", "--json")
    found = json.loads(tianyu(*words).stdout)
    assert found["mid_time"]["median"] == pytest.approx(DIP_MID, abs=made_up.CADENCE_D)
    assert found["depth"]["median"] == pytest.approx(0.03, rel=0.1)
    width = found["duration"]["median"] / (1.0 + found["radius_ratio"]["median"])
    assert width == pytest.approx(20 * made_up.CADENCE_D, rel=0.1)
    assert found["log_bayes_factor"] > 20.0  # the sharp edges of a box, which no disc has, count as noise
    table = Table.read("fit/transit.ecsv")
    assert len(table) == made.good.sum()
    inside = np.abs(table["bjd_tdb"] - DIP_MID) < 8 * made_up.CADENCE_D
    assert np.mean(table["flux_detrended"][inside]) == pytest.approx(0.97, abs=0.003)
    assert np.mean(table["flux_detrended"][np.abs(table["bjd_tdb"] - DIP_MID) > 0.025]) == pytest.approx(1.0, abs=0.003)
    for name in ("transit.png", "corner.png"):
        assert imread(f"fit/{name}")[..., :3].std() > 0.02, "the picture is blank"
    assert len(Path("fit/exoclock.txt").read_text().splitlines()) == made.good.sum()


PLACE = (31.0428, 46.6878)


def vsx(path: Path, offset_arcsec: float = 1.0) -> Path:
    """A table as VizieR gives VSX: the star that dips, one without a period, and one far away."""
    ra, dec = PLACE
    rows = f"V1,{ra},{dec + offset_arcsec / 3600.0:.7f},EA,2.150008\nV2,{ra},{dec + 0.1},M,\nV3,200.0,-80.0,RRAB,0.5\n"
    path.write_text("Name,RAJ2000,DEJ2000,Type,Period\n" + rows)
    return path


def test_known_variables_are_named(session: Session, made: MadeUp, tmp_path: Path) -> None:
    made_up.give_place(session, made.variable, PLACE)
    made_up.give_place(session, int(made.source_ids[8]), (PLACE[0], PLACE[1] + 0.1))
    session.commit()
    words = ("analyze", "1", "--top", "50", "--known", str(vsx(tmp_path / "vsx.csv")))
    found = json.loads(tianyu(*words, "--json").stdout)
    known = {star["source_id"]: star["known"] for star in found["stars"] if star["known"]}
    assert set(known) == {made.variable, int(made.source_ids[8])}
    star = known[made.variable]
    assert (star["name"], star["type"], star["period_d"]) == ("V1", "EA", 2.150008)
    assert star["separation_arcsec"] == pytest.approx(1.0, abs=0.01)
    assert known[int(made.source_ids[8])]["period_d"] is None
    assert found["known"] == {"file": str(tmp_path / "vsx.csv"), "stars": 2, "candidates": 1, "unknown_candidates": 0}
    told = " ".join(tianyu(*words).stdout.split())
    assert "2 of its stars, 1 of them candidates; 0 candidates are not known" in told
    assert "V1 (EA, 2.15001 d)" in told
    far = ("analyze", "1", "--known", str(vsx(tmp_path / "far.csv", 20.0)), "--json")
    assert json.loads(tianyu(*far).stdout)["known"]["unknown_candidates"] == 1
    assert json.loads(tianyu(*far, "--known-radius", "30").stdout)["known"]["unknown_candidates"] == 0


@pytest.mark.parametrize(
    ("content", "words", "said"),
    [
        ("Name,RAJ2000,DEJ2000\nV1,31.0,46.0\n", (), "is not solved"),
        ("id,RAJ2000,DEJ2000\n1,31.0,46.0\n", (), "no column for name: tell which it is (--known-column name=COLUMN)"),
        ("Name,RAJ2000,DEJ2000\nV1,02:04:10,46\n", (), "holds no numbers"),
        ("Name,RAJ2000,DEJ2000\nV1,400,46\n", (), "nowhere on the sky"),
        ("Name,RAJ2000,DEJ2000\nV1,31,46\n", ("--known-column", "type=Kind"), "no column 'Kind'"),
        ("Name,RAJ2000,DEJ2000\nV1,31,46\n", ("--known-column", "kind=Type"), "NAME one of name, ra"),
        ("Name,RAJ2000,DEJ2000\nV1,31,46\n", ("--source", "4", "--all-nights"), "leave it out with --all-nights"),
    ],
)
def test_a_table_of_variables_that_cannot_be_used_says_why(
    made: MadeUp, content: str, words: tuple[str, ...], said: str
) -> None:
    Path("known.csv").write_text(content)
    told = tianyu("analyze", str(made.observation_id), "--known", "known.csv", *words)
    assert told.exit_code == 1
    assert said in " ".join(told.output.split())


def test_a_planets_table_gives_mid_times_beside_its_ephemeris(made: MadeUp) -> None:
    """All nights in one fit, here one: O - C is as late as the dip, the ephemeris's own error beside it."""
    Path("planets.csv").write_text(PLANETS)
    star = ("transit", "--source", str(made.variable), "--planets", "planets.csv", "--planet", "hatp32 b")
    words = (*star, "--steps", "600", "--limb-darkening", "R=0.3,0.2", "--output", "fits", "--json")
    found = json.loads(tianyu(*words).stdout)
    [night] = found["nights"]
    late = night["o_minus_c_min"]
    assert (night["epoch"], night["filter"]) == (100, "R")
    assert late == pytest.approx(LATE_D * 1440.0, abs=made_up.CADENCE_D * 1440.0)
    assert night["predicted_error_min"] == pytest.approx(1440.0 * np.hypot(0.0005, 100 * 0.00002), rel=1e-3)
    [band] = found["filters"]
    assert band["given"] is True
    assert band["depth"]["median"] == pytest.approx(0.03, rel=0.15)
    new = found["refined_ephemeris"]
    assert new["mid_time_error"] <= found["ephemeris"]["mid_time_error"]
    assert 0 < new["period_d"] - 2.0 < late / 1440.0 / 100
    assert [Path(file).name for file in found["files"]] == [
        *("transits.json", "mid_times.ecsv", "transits.png", "o_minus_c.png"),
        "transit_1.ecsv",
    ]
    for name in ("transits.png", "o_minus_c.png"):
        assert imread(f"fits/{name}")[..., :3].std() > 0.02, "the picture is blank"
    table = Table.read("fits/transit_1.ecsv")
    assert table.meta["mid_time"] == pytest.approx(night["mid_time"])
    told = tianyu(*star, "--steps", "200")
    assert "HAT-P-32b: 1 transit" in told.output
    assert "ephemeris with these" in told.output


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--planets", "planets.csv"), "go together"),
        (("--planets", "planets.csv", "--planet", "WASP-12b"), "no planet named 'WASP-12b'; it has HAT-P-32b"),
        (("--planets", "away.csv", "--planet", "HAT-P-32b"), "cannot be read"),
        (("--planets", "planets.csv", "--planet", "HAT-P-32b", "--limb-darkening", "R"), "expected FILTER=U,V"),
        (("--planets", "planets.csv", "--planet", "HAT-P-32b", "--limb-darkening", "R=0.9,0.4"), "is no star's"),
        (("--planets", "planets.csv", "--planet", "HAT-P-32b", "--mid", "2460374.4"), "leave them out"),
        (("--planets", "late.csv", "--planet", "HAT-P-32b"), "no night of the star has a transit"),
        (("--limb-darkening", "R=0.3,0.2"), "go with --planet"),
    ],
)
def test_a_planet_that_cannot_be_fitted_says_why(made: MadeUp, words: tuple[str, ...], said: str) -> None:
    Path("planets.csv").write_text(PLANETS)
    Path("late.csv").write_text(PLANETS.replace(f"{DIP_MID - LATE_D - 200.0:.6f}", f"{DIP_MID - 201.0:.6f}"))
    told = tianyu("transit", "--source", str(made.variable), *words)
    assert told.exit_code == 1
    assert said in " ".join(told.output.split())


def test_the_same_seed_gives_the_same_fit(made: MadeUp) -> None:
    words = ("transit", "--source", str(made.variable), "--steps", "200", "--json", "--mid", f"{DIP_MID}", "--seed")
    first, again, other = (json.loads(tianyu(*words, seed).stdout)["mid_time"] for seed in ("1", "1", "2"))
    assert first == again
    assert first != other


def test_a_constant_star_has_no_transit(made: MadeUp) -> None:
    found = json.loads(tianyu("transit", "--source", str(int(made.source_ids[8])), "--steps", "400", "--json").stdout)
    assert found["log_bayes_factor"] < 3.0


def test_a_mid_time_of_another_night_is_refused(made: MadeUp) -> None:
    told = tianyu("transit", "--source", str(made.variable), "--mid", "2450000.5")
    assert told.exit_code == 1
    assert "nothing within" in " ".join(told.output.split())
