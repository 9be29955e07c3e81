"""Lists of stars: what a file names, what each becomes, and that the points are those of one star at a time."""

from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from astropy.table import Table
from sqlalchemy import delete, update
from sqlalchemy.orm import Session

from schema.photometry import LightCurveStatistics
from schema.skies import Source
from services.errors import ConfigurationError
from services.results.lightcurves.observation_facts import ObservationFacts, with_light_curves
from services.results.lightcurves.star_nights import read_nights, seen_as
from services.results.lists.became import AMBIGUOUS, FOUND, NOT_FOUND, Became, became
from services.results.lists.list_file import Wanted, read_list, star_of
from services.results.lists.many_curves import read_many
from services.results.positions import GaiaId, Named, Position, SourceId
from tests.unit.services.made_up import (
    GRAPH_PID,
    NIGHT,
    MadeUp,
    add_light_curves,
    add_observation,
    give_place,
    name_in_gaia,
)

RA, DEC, STEP = 31.04, 46.68, 0.01  # degrees
GAIA = 2864243154873221479
ARCSEC = 1 / 3600
COLUMNS = ("image_id", "flux_raw", "flux_relative", "mag", "jd_utc", "flag", "aperture", "method", "filter")


@pytest.fixture
def nights(session: Session) -> tuple[MadeUp, MadeUp]:
    """One field on two nights, in two filters; its sources lie in a row on the sky."""
    rng = np.random.default_rng(7)
    first = add_light_curves(session, add_observation(session), rng, n_stars=8, n_frames=24)
    other = add_observation(session, filter_name="V", night=NIGHT + timedelta(days=1))
    second = add_light_curves(
        session, other, rng, n_stars=8, n_frames=24, first_pid=GRAPH_PID + 10_000_000, known=first
    )
    for number, source_id in enumerate(first.source_ids.tolist()):
        give_place(session, source_id, (RA + number * STEP, DEC))
    name_in_gaia(session, int(first.source_ids[2]), GAIA, 12.0)
    session.commit()
    return first, second


def stars_of(session: Session, *texts: str, observations: list[ObservationFacts] | None = None) -> list[Became]:
    wanted = [Wanted(text, star_of(text)) for text in texts]
    return became(session, wanted, {}, observations or with_light_curves(session))


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("17", SourceId(17)),
        (str(GAIA), GaiaId(GAIA)),
        (f"Gaia DR3 {GAIA}", GaiaId(GAIA)),
        ("HAT-P-32", Named("HAT-P-32")),
        ("WASP 12 b", Named("WASP 12 b")),
        ("31.04,46.68", Position(31.04, 46.68, "sky")),
        ("31.04 +46.68", Position(31.04, 46.68, "sky")),
        ("31.04, -46.68", Position(31.04, -46.68, "sky")),
        ("424px,286px", Position(424.0, 286.0, "pixels")),
    ],
)
def test_a_text_means_a_star(text: str, meant: Any) -> None:
    assert star_of(text) == meant


def test_sexagesimal_places_have_hours(tmp_path: Path) -> None:
    for text in ("02:04:10.3,+46:41:16", "02:04:10.3 +46:41:16"):
        star = star_of(text)
        assert isinstance(star, Position)
        assert star.pair == pytest.approx((31.04292, 46.68778), abs=1e-5)


def test_a_file_without_a_head_has_a_star_a_line(tmp_path: Path) -> None:
    path = tmp_path / "list.csv"
    path.write_text(f"# stars\nHAT-P-32\n31.04,46.68\n\n{GAIA}\n17\n")
    assert [one.star for one in read_list(path)] == [
        Named("HAT-P-32"), Position(31.04, 46.68, "sky"), GaiaId(GAIA), SourceId(17)
    ]  # fmt: skip


def test_columns_may_be_mixed_and_the_surest_counts(tmp_path: Path) -> None:
    path = tmp_path / "list.csv"
    path.write_text(f"name,RA,Dec,gaia,source_id\nA,31.04,46.68,,\nB,,,{GAIA},\n,,,,17\nHAT-P-32,,,,\nD,1,2,{GAIA},9\n")
    assert [(one.label, one.star) for one in read_list(path)] == [
        ("A", Position(31.04, 46.68, "sky")),
        ("B", GaiaId(GAIA)),
        ("17", SourceId(17)),
        ("HAT-P-32", Named("HAT-P-32")),
        ("D", SourceId(9)),
    ]


def test_tables_and_files_of_targets_are_lists_too(tmp_path: Path) -> None:
    for name, format_name in (("list.ecsv", "ascii.ecsv"), ("list.fits", "fits"), ("list.vot", "votable")):
        Table({"name": ["A", "B"], "ra": [1.5, 2.5], "dec": [3.0, -4.0]}).write(tmp_path / name, format=format_name)
        assert [(one.label, one.star) for one in read_list(tmp_path / name)] == [
            ("A", Position(1.5, 3.0, "sky")), ("B", Position(2.5, -4.0, "sky"))
        ]  # fmt: skip
    toml = tmp_path / "targets.toml"
    toml.write_text('["HAT-P-32"]\ntargets = ["31.04d,46.68d"]\n["TOI-1"]\n["UY UMa"]\ntargets = ["1", "2"]\n')
    assert [(one.label, one.star) for one in read_list(toml)] == [
        ("HAT-P-32", Position(31.04, 46.68, "sky")),
        ("TOI-1", Named("TOI-1")),
        ("UY UMa 1", SourceId(1)),
        ("UY UMa 2", SourceId(2)),
    ]


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("", "names no star"),
        ("# nothing\n", "names no star"),
        ("name,ra,dec\nA,31\n", "line 2: it has 2 columns and the first line 3"),
        ("name,ra,dec\nA,31,\n", "line 2: it has one of two coordinates"),
        ("name,ra,dec\nA,x,y\n", "line 2"),
        ("source_id\n17\n1e3\n", "line 3: '1e3' is no number of a star"),
        ("17\n99999999999999999999999\n", "line 2"),
        ("name,ra\n,\nA,\n,5\n", "line 4: it has one of two"),
        ("1,2,3\n", "line 1"),
    ],
)
def test_a_line_that_names_no_star_is_told(tmp_path: Path, content: str, says: str) -> None:
    path = tmp_path / "list.csv"
    path.write_text(content)
    with pytest.raises(ConfigurationError, match=says):
        read_list(path)
    with pytest.raises(ConfigurationError, match="cannot be read"):
        read_list(tmp_path / "not_there.csv")


def test_a_list_has_the_points_of_each_star_alone(session: Session, nights: tuple[MadeUp, MadeUp]) -> None:
    first, _ = nights
    ids = first.source_ids.tolist()
    texts = [str(ids[5]), f"Gaia DR3 {GAIA}", f"{RA + STEP},{DEC}", str(ids[5])]
    stars = stars_of(session, *texts)
    told: list[tuple[int, int]] = []
    curves = read_many(session, stars, with_light_curves(session), "best", lambda *done: told.append(done))
    assert [one.status for one in stars] == [FOUND] * 4
    assert told[-1] == (3, 3)
    for number, source_id in enumerate((ids[5], ids[2], ids[1], ids[5])):
        alone = read_nights(session, seen_as(session, source_id=source_id)).table
        found = curves.of(number)
        assert len(found) == len(alone) == 48
        assert set(found["target"]) == {texts[number]}
        for name in COLUMNS:
            np.testing.assert_array_equal(np.ma.filled(found[name], 0), np.ma.filled(alone[name], 0), err_msg=name)
            np.testing.assert_array_equal(np.ma.getmaskarray(found[name]), np.ma.getmaskarray(alone[name]))
            assert found[name].unit == alone[name].unit
    assert curves.targets["points"].tolist() == [48] * 4
    assert 0 < curves.targets["usable_points"][0] < 48
    assert curves.table.meta["night"] == "2024-03-04; 2024-03-05"


def test_some_nights_and_other_apertures(session: Session, nights: tuple[MadeUp, MadeUp]) -> None:
    first, second = nights
    there = [one for one in with_light_curves(session) if one.observation_id == second.observation_id]
    star = str(first.source_ids[4])
    stars = stars_of(session, star, observations=there)
    assert set(read_many(session, stars, there, "best").table["filter"]) == {"V"}
    assert len(read_many(session, stars, there, "all").table) == 3 * 24
    assert set(read_many(session, stars, there, 1).table["aperture"]) == {1}


def test_without_an_analysis_the_aperture_that_scatters_least_is_read(
    session: Session, nights: tuple[MadeUp, MadeUp]
) -> None:
    first, _ = nights
    session.execute(delete(LightCurveStatistics))
    star = int(first.source_ids[4])
    found = read_many(session, stars_of(session, str(star)), with_light_curves(session), "best").of(0)
    alone = read_nights(session, seen_as(session, source_id=star)).table
    np.testing.assert_array_equal(found["aperture"], alone["aperture"])
    np.testing.assert_array_equal(found["flux_raw"], alone["flux_raw"])


def test_what_is_not_there_or_might_be_another_is_told(session: Session, nights: tuple[MadeUp, MadeUp]) -> None:
    first, _ = nights
    ids = first.source_ids.tolist()
    give_place(session, ids[6], (RA, DEC + 2 * ARCSEC))  # beside the first one
    stars = stars_of(session, f"{RA},{DEC - 0.5 * ARCSEC}", "10,20", "999999", f"Gaia DR3 {GAIA + 1}", "5px,5px")
    assert [one.status for one in stars] == [AMBIGUOUS, NOT_FOUND, NOT_FOUND, NOT_FOUND, NOT_FOUND]
    assert {source for _, source in stars[0].pairs} == {ids[0]}
    reasons = f'source {ids[6]} at 2.5"', "no source within 5", "no source 999999", "matched to Gaia", "--observation"
    for one, says in zip(stars, reasons, strict=True):
        assert says in one.words
    curves = read_many(session, stars, with_light_curves(session), "best")
    assert len(curves.table) == 48
    assert curves.targets["points"].tolist() == [48, 0, 0, 0, 0]
    assert curves.targets["status"].tolist()[1] == "not found"


def test_a_star_under_two_numbers_is_one(session: Session, nights: tuple[MadeUp, MadeUp]) -> None:
    first, _ = nights
    ids = first.source_ids.tolist()
    session.execute(update(Source).where(Source.source_id == ids[7]).values(same_as=ids[3]))
    stars = stars_of(session, str(ids[7]), str(ids[3]))
    assert stars[0].pairs == stars[1].pairs
    assert stars[0].status == FOUND


def test_an_empty_list_of_found_stars_is_an_empty_table(session: Session, nights: tuple[MadeUp, MadeUp]) -> None:
    curves = read_many(session, stars_of(session, "10,20"), with_light_curves(session), "best")
    assert (len(curves.table), len(curves.targets)) == (0, 1)
    assert curves.table.colnames[0] == "target"
