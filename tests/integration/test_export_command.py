"""`tianyu export`: files for other programs, by the command and as the page on exports shows them."""

from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits
from astropy.wcs import WCS
from pyarrow import parquet
from regions import CircleSkyRegion, Regions
from sqlalchemy import delete, select, update
from sqlalchemy.orm import Session

from schema.image import TEMPLATE, Image
from schema.observing import Observation
from schema.photometry import ReferenceStar
from schema.processes import Site
from schema.skies import PlateSolution, Source
from services.image_store import open_store
from services.results.lightcurves.observation_facts import observation_facts
from services.results.lightcurves.reading import read_light_curve
from services.results.lightcurves.selection import find_source
from services.results.reports import night_report, star_report
from services.results.summary.numbers import summarize
from tests.integration.command_line import tianyu
from tests.unit.docs.pages import DOCS, blocks
from tests.unit.services.made_up import MadeUp
from tests.unit.services.vo.solved_night import FRAMES, STARS, solved_night

PAGE = DOCS / "how-to" / "export.md"


@pytest.fixture
def made(session: Session, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> MadeUp:
    """A solved night, in a site whose root is a folder here; the working folder is the test's."""
    monkeypatch.setenv("TIANYU_ROOT", str(tmp_path / "root"))
    (tmp_path / "root").mkdir()
    made = solved_night(session, open_store(tmp_path / "root"))
    session.execute(update(Site).values(root=str(tmp_path / "root")))
    session.commit()
    monkeypatch.chdir(tmp_path)
    return made


def test_regions_are_where_the_stars_are(made: MadeUp, session: Session) -> None:
    """DS9's other reader has each source where the sky has it, in the colour of its part."""
    check = int(made.source_ids[7])
    role = update(ReferenceStar).where(ReferenceStar.source_id == check)
    session.execute(role.values(role="check", is_reference=False))
    session.commit()
    result = tianyu("export", "1", "--source", str(made.variable), "--output", "field.reg")
    assert result.exit_code == 0
    assert result.stdout == "field.reg\n"
    found = {int(one.meta["text"]): one for one in Regions.read("field.reg", format="ds9")}
    assert sorted(found) == made.source_ids.tolist()
    for number, one in found.items():
        star = session.get_one(Source, number)
        assert isinstance(one, CircleSkyRegion)
        assert one.center.ra.deg == pytest.approx(star.ra_deg, abs=1e-6)
        assert one.center.dec.deg == pytest.approx(star.dec_deg, abs=1e-6)
    parts = {number: one.meta["tag"][0].strip("{}") for number, one in found.items()}
    assert (parts[made.variable], parts[check]) == ("target", "check")
    assert "reference" in parts.values()


def test_regions_of_a_field_that_is_not_solved_are_in_pixels(made: MadeUp, session: Session) -> None:
    session.execute(update(Source).values(ra_deg=None, dec_deg=None))
    session.commit()
    assert tianyu("export", "1", "--source", "2", "--output", "field.reg").exit_code == 0
    lines = Path("field.reg").read_text().splitlines()
    assert lines[3] == "image"
    facts = observation_facts(session, made.observation_id)
    stars = [find_source(session, facts, source_id=number) for number in made.source_ids.tolist()]
    first = np.array([(star.x, star.y) for star in stars])  # the first frame's pixels, which are not the template's
    assert np.abs(first - made.xy).max() > 0.1
    numbers = [line[len("circle(") : line.index(")")].split(",")[:2] for line in lines[4:]]
    np.testing.assert_allclose(np.array(numbers, dtype=float), first + 1.0, atol=1e-3)


def test_nights_are_exported_and_what_is_left_out_is_told(made: MadeUp, session: Session) -> None:
    result = tianyu("export", "--format", "parquet", "--output", "nights")
    assert result.exit_code == 0
    assert result.stdout == "nights/night=2024-03-04/filter=R/observation-1.parquet\n"
    assert f"{STARS * FRAMES} points" in result.stderr
    assert tianyu("export", "1", "--format", "parquet", "--aperture", "0", "--output", "nights").exit_code == 0
    assert set(parquet.read_table(result.stdout.strip(), columns=["aperture"])["aperture"].to_pylist()) == {0}
    session.execute(update(Observation).values(analysis_pid=None))
    session.commit()
    result = tianyu("export", "--format", "parquet", "--output", "nights")
    assert result.exit_code == 1
    assert "is not analysed yet: left out" in " ".join(result.stderr.split())


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("--output", "red"), "format qlcp is of one observation"),
        (("1", "2", "--output", "x.reg"), "format regions is of one observation"),
        (("--format", "hats", "--source", "1", "--output", "sky"), "format hats has all stars"),
        (("--format", "hats", "--aperture", "1", "--output", "sky"), "has the best aperture of each star"),
        (("--format", "parquet", "--aperture", "x", "--output", "sky"), "neither best nor an index"),
        (("--format", "parquet", "--aperture", "²", "--output", "sky"), "neither best nor an index"),
        (("9", "--format", "parquet", "--output", "sky"), "there is no observation 9"),
        (("--format", "hats", "--output", "root"), "no HATS catalogue of Tianyu"),
        (("--format", "hats", "--output", "."), "choose a folder for the catalogue alone"),
    ],
)
def test_what_cannot_be_exported_says_why(made: MadeUp, tmp_path: Path, words: tuple[str, ...], told: str) -> None:
    (tmp_path / "root" / "kept").touch()
    result = tianyu("export", *words)
    assert result.exit_code == 1
    assert told in " ".join(result.output.split())
    assert not Path("sky").exists()
    assert (tmp_path / "root" / "kept").exists()


@pytest.mark.parametrize("star", [True, False])
def test_a_report_is_one_page(made: MadeUp, session: Session, star: bool) -> None:
    words = ("--source", str(made.variable)) if star else ()
    result = tianyu("export", "1", *words, "--output", "page.pdf")
    assert (result.exit_code, result.stdout) == (0, "page.pdf\n")
    content = Path("page.pdf").read_bytes()
    assert content.startswith(b"%PDF-")
    assert content.count(b"/Type /Page\n") + content.count(b"/Type /Page ") == 1
    assert b"595.44 841.68" in content, "it is of A4"
    session.execute(update(Observation).values(analysis_pid=None))
    session.commit()
    assert tianyu("export", "1", *words, "--output", "page.svg", "--format", "report").exit_code == 0
    assert Path("page.svg").read_text().lstrip().startswith("<?xml")


def test_a_report_says_what_is_known(made: MadeUp, session: Session) -> None:
    facts = observation_facts(session, made.observation_id)
    curve = read_light_curve(session, facts, find_source(session, facts, source_id=made.variable))
    star = dict(star_report.facts_of(session, curve))
    assert star["points"] == f"{int(curve.usable.sum())} usable of {FRAMES}"
    assert star["process"] == str(made.calibration_pid)
    night = dict(night_report.facts_of(session, facts, summarize(session, made.observation_id)))
    assert night["frames"].startswith(f"{int(made.good.sum())} used of ")
    assert night["sources"].startswith(f"{STARS}, ")


def test_a_table_of_variables_names_the_star_for_aavso(made: MadeUp, session: Session) -> None:
    star = session.get_one(Source, made.variable)
    Path("vsx.csv").write_text(f"Name,RAJ2000,DEJ2000,Type\nRR Lyr,{star.ra_deg},{star.dec_deg},RRAB\n")
    words = ("lightcurve", "--format", "aavso", "--observer", "abc", "--known", "vsx.csv", "--source")
    result = tianyu(*words, str(made.variable))
    assert result.exit_code == 0
    rows = [line for line in result.stdout.splitlines() if not line.startswith("#")]
    assert {row.split(",")[0] for row in rows} == {"RR Lyr"}
    other = next(one for one in made.source_ids.tolist() if one != made.variable)
    result = tianyu(*words, str(other))
    assert result.exit_code == 1
    assert "'vsx.csv' has no star within" in " ".join(result.output.split())


def test_a_cutout_has_the_star_where_its_coordinates_say(made: MadeUp, session: Session, tmp_path: Path) -> None:
    star = session.get_one(Source, made.variable)
    result = tianyu("export", "1", "--source", str(made.variable), "--size", "31", "--output", "cut.fits")
    assert (result.exit_code, result.stdout) == (0, "cut.fits\n")
    with fits.open("cut.fits") as hdus:
        hdus.verify("exception")
        pixels, header = hdus[0].data, hdus[0].header
    assert pixels.shape == (31, 31)
    x, y = WCS(header).all_world2pix(star.ra_deg, star.dec_deg, 0)
    here = find_source(session, observation_facts(session, 1), source_id=made.variable)
    assert (float(x) - header["LTV1"], float(y) - header["LTV2"]) == pytest.approx(
        (here.template_x, here.template_y), abs=0.02
    )
    template = session.scalars(select(Image).where(Image.kind == TEMPLATE)).one()
    whole = open_store(tmp_path / "root").read(template.path)
    rows, columns = int(-header["LTV2"]), int(-header["LTV1"])
    np.testing.assert_array_equal(pixels, whole[rows : rows + 31, columns : columns + 31])
    session.execute(delete(PlateSolution))
    session.commit()
    result = tianyu("export", "1", "--source", str(made.variable), "--size", "9999", "--output", "all.fits")
    assert "has no coordinates" in " ".join(result.stderr.split())
    assert fits.getdata("all.fits").shape == whole.shape


def test_the_pages_examples_run(made: MadeUp, capsys: pytest.CaptureFixture[str]) -> None:
    """Those on many nights, on what its commands write."""
    assert tianyu("export", "--format", "parquet", "--output", "nights").exit_code == 0
    assert tianyu("export", "--format", "hats", "--output", "sky").exit_code == 0
    examples = [one for one in blocks(PAGE, "python") if "nights/" in one or '"sky"' in one]
    assert len(examples) == 3
    for one in examples:
        exec(one, {"__name__": "example"})
        assert capsys.readouterr().out.strip(), "an example prints what it found"
