"""What stands in the plots is what stands in the tables; what is NULL is left out and named."""

from collections.abc import Callable
from itertools import product
from pathlib import Path

import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray
from sqlalchemy import select, update
from sqlalchemy.orm import Session

from pipeline.flags import Flag
from pipeline.registration.alignment import Alignment
from schema.found import FoundAlignment
from schema.frame import Frame
from schema.image import Image
from schema.observing import Observation
from schema.photometry import (
    Aperture,
    ApertureCorrection,
    Flux,
    LightCurveStatistics,
    ReferenceStar,
    RelativeFlux,
    ZeroPoint,
    ZeroPointStar,
)
from schema.skies import Sky
from services.errors import DataError
from services.image_store import LocalImageStore
from services.results.lightcurves.observation_facts import find_observation
from services.results.lightcurves.reading import LightCurve, read_light_curve
from services.results.lightcurves.selection import find_source
from services.results.lightcurves.star_statistics import NOISE_PARTS, read_stars
from services.results.plots.comparison_plot import draw_comparison
from services.results.plots.finding_chart import finding_chart
from services.results.plots.light_curve_plot import draw_light_curve
from services.results.plots.magnitudes import magnitudes
from services.results.plots.offsets_plot import frame_offsets
from services.results.plots.precision_plot import precision
from services.results.plots.psf_plot import point_spread
from services.results.plots.scatter_plot import scatter_against_magnitude
from services.results.plots.sky_grid import place_name
from services.results.plots.stack_plot import stack_with_sources
from services.results.plots.style import head, new_figure
from services.results.plots.systematics_plot import draw_systematics
from services.steps.shared.first_frame import to_first_frame
from tests.unit.services import made_up
from tests.unit.services.grid_names import names_on
from tests.unit.services.made_up import MadeUp
from tests.unit.services.made_wcs import made_wcs

MODULES = (
    "comparison_plot",
    "finding_chart",
    "light_curve_plot",
    "offsets_plot",
    "precision_plot",
    "psf_plot",
    "scatter_plot",
    "stack_plot",
    "systematics_plot",
)
PATH = Path("unwritten.png")


@pytest.fixture
def store(tmp_path: Path) -> LocalImageStore:
    return LocalImageStore(tmp_path)


@pytest.fixture
def made(session: Session, store: LocalImageStore) -> MadeUp:
    return made_up.add_light_curves(session, made_up.add_observation(session), np.random.default_rng(1), store=store)


@pytest.fixture
def drawn(monkeypatch: pytest.MonkeyPatch) -> list[Figure]:
    """The figures, which are drawn to memory and written nowhere."""
    figures: list[Figure] = []

    def keep(figure: Figure, path: Path) -> Path:
        figure.canvas.draw()
        figures.append(figure)
        return path

    for module in MODULES:
        monkeypatch.setattr(f"services.results.plots.{module}.save", keep)
    return figures


@pytest.fixture
def curve(session: Session, made: MadeUp) -> Callable[[int], LightCurve]:
    def read(source_id: int) -> LightCurve:
        facts = find_observation(session)
        return read_light_curve(session, facts, find_source(session, facts, source_id=source_id))

    return read


def points(axes: Axes) -> list[NDArray[np.float64]]:
    """x and y of each series of lines or points: float64[n, 2]."""
    lines = [np.asarray(line.get_xydata(), dtype=np.float64) for line in axes.lines]
    return lines + [np.asarray(found.get_offsets(), dtype=np.float64) for found in axes.collections]


def shows(axes: Axes, y: NDArray[np.float64]) -> bool:
    """Whether one series has these values."""
    return any(
        series.shape == (y.size, 2) and np.allclose(np.sort(series[:, 1]), np.sort(y)) for series in points(axes)
    )


def said(figure: Figure) -> str:
    texts = [text for axes in figure.axes for text in (*axes.texts, axes.title, axes._left_title, axes._right_title)]  # type: ignore[attr-defined]
    legends = [legend for holder in (figure, *figure.axes) for legend in getattr(holder, "legends", [])]
    legends += [axes.get_legend() for axes in figure.axes if axes.get_legend()]
    texts += [text for legend in legends for text in legend.get_texts()]
    title = figure._suptitle.get_text() if figure._suptitle else ""  # type: ignore[attr-defined]
    return "\n".join([title, *(text.get_text() for text in texts)])


def test_each_kind_of_flag_has_its_own_points(
    session: Session, made: MadeUp, curve: Callable[[int], LightCurve], drawn: list[Figure]
) -> None:
    kinds = {
        Flag.SATURATED: "saturated (1)",
        Flag.NONLINEAR | Flag.EDGE: "not linear (1)",
        Flag.TRAIL: "trail (1)",
        Flag.COSMIC_RAY: "cosmic ray (1)",
        Flag.BAD_PIXEL: "bad pixel (1)",
        Flag.EDGE: "edge (1)",
        Flag.BAD_FRAME: "rejected frame (4)",  # and the three that `select` rejected
    }
    for number, flag in enumerate(kinds, 30):
        at = (Flux.source_id == made.variable) & (Flux.image_id == int(made.image_ids[number]))
        session.execute(update(Flux).where(at).values(flag=int(flag)))
    shown = curve(made.variable)
    draw_light_curve(shown, PATH)
    [figure] = drawn
    for words in kinds.values():
        assert words in said(figure)
    flux = shown.values("flux_relative")
    usual = np.isin(shown.values("image_id"), np.delete(made.image_ids, range(30, 30 + len(kinds))))
    assert shows(figure.axes[0], flux[usual & shown.values("image_good").astype(bool)])


def test_the_detrended_curve_has_a_panel_of_its_own(
    session: Session, made: MadeUp, curve: Callable[[int], LightCurve], drawn: list[Figure]
) -> None:
    detrend_pid = made.analysis_pid + 1
    value = 1 + 0.001 * np.arange(made.image_ids.size)
    for image_id, flux in zip(made.image_ids.tolist(), value.tolist(), strict=True):
        for aperture in range(len(made_up.RADII)):
            key = {"source_id": made.variable, "image_id": image_id, "aperture": aperture}
            session.add(RelativeFlux(**key, pid=detrend_pid, flux=flux, flux_error=0.001))
    session.execute(update(Observation).values(detrend_pid=detrend_pid))
    draw_light_curve(curve(made.variable), PATH)
    top, below = drawn[0].axes
    assert (top.get_ylabel(), below.get_ylabel()) == ("relative flux", "detrended flux")
    assert shows(below, value[made.good])
    assert not shows(top, value[made.good])


def test_the_name_of_the_aperture_and_of_a_crowded_star(
    session: Session, made: MadeUp, curve: Callable[[int], LightCurve], drawn: list[Figure]
) -> None:
    session.execute(update(Aperture).values(factor=1.5, sky="global"))
    session.execute(update(Flux).values(flag=int(Flag.CROWDED)))
    draw_light_curve(curve(made.variable), PATH)
    assert "aperture 1.5 FWHM (" in said(drawn[0])
    assert "sky of the frame" in said(drawn[0])
    assert "neighbours in the aperture" in said(drawn[0])
    assert "measured (57)" in said(drawn[0])


def test_offsets_are_those_of_the_table(session: Session, made: MadeUp, drawn: list[Figure]) -> None:
    session.execute(update(FoundAlignment).values(scale=1.0 + 2e-5))
    frame_offsets(session, find_observation(session), PATH)
    rows = session.execute(select(Frame.dx, Frame.dy, Frame.rotation_deg).where(Frame.good.is_(True))).all()
    dx, dy, rotation = np.array([tuple(row) for row in rows], dtype=np.float64).T
    shifted, turned, scaled, plane, _ = drawn[0].axes
    assert shows(shifted, dx)
    assert shows(shifted, dy)
    assert shows(turned, rotation)
    assert shows(scaled, np.full(dx.size, 20.0))
    assert any(len(series) == dx.size and np.allclose(series, np.column_stack([dx, dy])) for series in points(plane))
    assert "3 rejected" in said(drawn[0])
    assert "not aligned" in said(drawn[0])


def test_the_parts_of_the_noise_are_drawn_and_unknown_ones_named(
    session: Session, made: MadeUp, drawn: list[Figure]
) -> None:
    known = {f"noise_{part}": 0.001 * number for number, part in enumerate(NOISE_PARTS[:-2], 1)}
    session.execute(update(LightCurveStatistics).values(expected_scatter=0.02, **known))
    scatter_against_magnitude(session, find_observation(session), PATH, made.variable)
    [axes] = drawn[0].axes
    levels = {round(float(y[0]), 6) for y in (np.asarray(line.get_ydata()) for line in axes.lines) if y.size}
    assert levels >= {20.0, 1.0, 2.0, 3.0, 4.0, 5.0}
    assert "not in it:\n  scintillation\n  reference stars" in said(drawn[0])
    stars = read_stars(session, made.analysis_pid)
    usual = stars.source_id != made.saturated
    assert shows(axes, stars.scatter[usual] * 1000)
    assert f"source {made.variable}" in said(drawn[0])


def test_without_a_prediction_the_equation_of_a_typical_frame_is_drawn(
    session: Session, made: MadeUp, drawn: list[Figure]
) -> None:
    scatter_against_magnitude(session, find_observation(session), PATH)
    assert "expected: source,\nsky and read noise" in said(drawn[0])
    session.execute(update(Image).values(gain=None))
    scatter_against_magnitude(session, find_observation(session), PATH)
    assert "the gain is unknown" in said(drawn[1])


def test_precision_is_achieved_over_predicted(session: Session, made: MadeUp, drawn: list[Figure]) -> None:
    session.execute(
        update(LightCurveStatistics).values(
            expected_scatter=LightCurveStatistics.scatter / 1.25, cdpp=0.0006, expected_cdpp=0.0004
        )
    )
    precision(session, find_observation(session), PATH)
    above, of_cdpp, of_scatter = drawn[0].axes
    stars = read_stars(session, made.analysis_pid).flux.size
    assert shows(above, np.full(stars, 600.0))
    assert shows(above, np.full(stars, 400.0))
    assert shows(of_cdpp, np.full(stars - 1, 1.5))  # without the saturated star
    assert shows(of_scatter, np.full(stars - 1, 1.25))
    assert "median 1.50" in said(drawn[0])
    assert "1 saturated left out" in said(drawn[0])


def test_precision_without_predictions_is_against_quoted_errors(
    session: Session, made: MadeUp, drawn: list[Figure]
) -> None:
    precision(session, find_observation(session), PATH)
    [axes] = drawn[0].axes
    stars = read_stars(session, made.analysis_pid)
    usual = stars.source_id != made.saturated
    assert shows(axes, (stars.scatter / stars.error)[usual])
    assert "CDPP is not known" in said(drawn[0])
    assert axes.get_ylabel() == "scatter over\nquoted error"


def test_systematics_stand_beside_the_light_curve(
    session: Session, made: MadeUp, curve: Callable[[int], LightCurve], drawn: list[Figure]
) -> None:
    shown = curve(made.variable)
    flux = shown.values("flux_relative")
    rows = dict(zip(shown.values("image_id").tolist(), flux.tolist(), strict=True))
    for image_id, value in rows.items():
        session.execute(update(Image).where(Image.image_id == image_id).values(airmass=2.0 - value, fwhm=3.0))
    draw_systematics(session, shown, PATH)
    panels = {axes.get_ylabel(): axes for axes in drawn[0].axes}
    assert list(panels) == ["relative flux", "x (pixels)", "y (pixels)", "FWHM\n(pixels)", "airmass"]
    assert "unknown: sky (ADU a pixel), transparency" in said(drawn[0])
    assert "ρ = −1.00" in panels["airmass"].get_title(loc="right")
    assert panels["FWHM\n(pixels)"].get_title(loc="right") == ""  # constant: correlated with nothing
    assert shows(panels["airmass"], 2.0 - flux[made.good])
    [place] = made.xy[made.source_ids == made.variable]
    images = session.scalars(select(Frame).where(Frame.good.is_(True)).order_by(Frame.image_id)).all()
    on_frame = [
        Alignment(i.dx or 0, i.dy or 0, i.rotation_deg or 0, 1.0, -0.5, -0.5, 0.0, 9).to_frame(place[None])[0]
        for i in images
    ]
    assert shows(panels["x (pixels)"], np.array(on_frame)[:, 0])
    assert shows(panels["y (pixels)"], np.array(on_frame)[:, 1])


def test_the_finding_chart_names_the_stars_that_count(
    session: Session, store: LocalImageStore, made: MadeUp, drawn: list[Figure]
) -> None:
    for number, source_id in enumerate(made.source_ids[4:16].tolist()):
        weight = 8.0 if number == 5 else 0.5
        session.execute(update(ReferenceStar).where(ReferenceStar.source_id == source_id).values(weight=weight))
    checks = made.source_ids[20:22].tolist()
    session.execute(update(ReferenceStar).where(ReferenceStar.source_id.in_(checks)).values(role="check"))
    facts = find_observation(session)
    finding_chart(session, store, facts, find_source(session, facts, source_id=made.variable), PATH)
    names = {text.get_text(): text.get_position() for text in drawn[0].axes[0].texts}
    assert {"T", "R1", "C1", "C2"} <= set(names)
    assert np.hypot(*(np.array(names["R1"]) - made.xy[9])) < 15.0
    assert np.hypot(*(np.array(names["C1"]) - made.xy[20])) < 15.0
    # 8 of 13.5 by the heaviest; nine tenths are reached with nine more of half a unit.
    assert "10 of 12 reference stars, 93% of the weight" in said(drawn[0])
    assert "2 of 2 check stars" in said(drawn[0])
    assert "not solved" in said(drawn[0])


@pytest.mark.parametrize(("angle", "parity"), [(0.0, -1.0), (130.0, -1.0), (220.0, 1.0)])
def test_a_solved_field_has_a_compass_a_scale_and_coordinates(
    session: Session, store: LocalImageStore, made: MadeUp, drawn: list[Figure], angle: float, parity: float
) -> None:
    wcs = made_wcs(angle, parity, scale=0.72, centre=(150.0, 100.0))
    made_up.solve_field(session, made, wcs)
    # The sky's own WCS is of another night's pixels: nothing of it may be seen here.
    session.execute(update(Sky).values(wcs=made_wcs(angle + 90.0, -parity).text()))
    facts = find_observation(session)
    target = find_source(session, facts, source_id=made.variable)
    finding_chart(session, store, facts, target, PATH)
    field = drawn[0].axes[0]
    words = {text.get_text(): text for text in field.texts}
    assert {"N", "E", "30″"} <= set(words)
    # The arrows stand on one point: their letters lie where north and east are.
    ways = {name: np.array(words[name].get_position()) for name in "NE"}
    step = np.linalg.inv(wcs.cd)
    north, east = (step @ way / np.hypot(*(step @ way)) for way in (np.array([0.0, 1.0]), np.array([1.0, 0.0])))
    apart = ways["N"] - ways["E"]
    np.testing.assert_allclose(apart / np.hypot(*apart), (north - east) / np.sqrt(2.0), atol=1e-3)
    on_first_frame = wcs.through(to_first_frame(session, facts.graph_pid))
    below, beside = names_on(field)
    assert len(below) >= 2
    assert len(beside) >= 2
    for xy, value, text in (*below, *beside):
        ra, dec = on_first_frame.to_sky(np.array([xy]))[0]
        assert value == pytest.approx(ra if text[-1] in "hms" else dec, abs=0.05 * 0.72 / 3600)  # px, arcsec
    assert place_name(target.ra_deg or 0.0, target.dec_deg or 0.0) in said(drawn[0])


def test_an_unsolved_field_says_so(session: Session, store: LocalImageStore, made: MadeUp, drawn: list[Figure]) -> None:
    session.execute(update(Sky).values(wcs=made_wcs().text()))
    facts = find_observation(session)
    finding_chart(session, store, facts, find_source(session, facts, source_id=made.variable), PATH)
    assert "not solved" in said(drawn[0])
    assert not {"N", "E"} & {text.get_text() for text in drawn[0].axes[0].texts}


def test_stars_have_their_names_in_gaia(
    session: Session, store: LocalImageStore, made: MadeUp, drawn: list[Figure]
) -> None:
    made_up.solve_field(session, made, made_wcs(scale=0.72, centre=(150.0, 100.0)))
    made_up.name_in_gaia(session, made.variable, 2864243154873221479, 11.128, 1.47)
    made_up.name_in_gaia(session, int(made.source_ids[6]), 2876252811145773312, 10.896, 0.65)
    facts = find_observation(session)
    finding_chart(session, store, facts, find_source(session, facts, source_id=made.variable), PATH)
    table = drawn[0].axes[2]
    lines: dict[float, list[str]] = {}
    for text in table.texts:
        lines.setdefault(text.get_position()[1], []).append(text.get_text())
    rows = {line[0]: line[1:] for line in lines.values()}
    assert rows["T"] == ["11.13", "1.47", "2864243154873221479"]
    # Without weights, references are in the order of their ids: number 6 is the third of those from 4 on.
    assert rows["R3"] == ["10.90", "0.65", "2876252811145773312"]
    assert rows["R1"] == ["–", "–", "not matched"]
    boxes = [text.get_window_extent() for text in table.texts]
    assert not any(one.overlaps(other) for n, one in enumerate(boxes) for other in boxes[n + 1 :] if one.width)


def test_point_spread_has_the_width_of_the_stars(
    session: Session, store: LocalImageStore, made: MadeUp, drawn: list[Figure]
) -> None:
    for image_id in made.image_ids.tolist():
        session.add(ApertureCorrection(image_id=image_id, aperture=1, correction=1.25, stars=9))
    point_spread(session, store, find_observation(session), PATH)
    width = float(said(drawn[0]).split("FWHM ")[1].split(" px")[0])
    # Stars of sigma 1.7 px, drawn on whole pixels: their centres are up to half a pixel off.
    assert width == pytest.approx(2.3548 * 1.7, abs=0.35)
    assert "template, 4.5 px" in said(drawn[0])
    assert "frames: 80.0%" in said(drawn[0])


def test_point_spread_without_sources(
    session: Session, store: LocalImageStore, made: MadeUp, drawn: list[Figure]
) -> None:
    session.execute(update(Flux).values(flag=int(Flag.SATURATED)))
    with pytest.raises(DataError, match="no bright unsaturated star"):
        point_spread(session, store, find_observation(session), PATH)


def test_comparison_stars_stand_below_the_target_on_its_scale(
    session: Session, made: MadeUp, curve: Callable[[int], LightCurve], drawn: list[Figure]
) -> None:
    heavy, light, check = (int(source_id) for source_id in made.source_ids[[5, 6, 8]])
    session.execute(update(ReferenceStar).values(is_reference=False, role=None))
    for source_id, values in ((heavy, {"weight": 3.0}), (light, {"weight": 1.0})):
        star = update(ReferenceStar).where(ReferenceStar.source_id == source_id)
        session.execute(star.values(is_reference=True, role="reference", **values))
    session.execute(update(ReferenceStar).where(ReferenceStar.source_id == check).values(role="check"))
    shown = curve(made.variable)
    draw_comparison(session, shown, PATH)
    target, first, second, last = drawn[0].axes
    good = shown.values("image_good").astype(bool)
    assert shows(target, shown.values("flux_relative")[good])
    [aperture] = shown.radii
    facts = find_observation(session)
    other = read_light_curve(session, facts, find_source(session, facts, source_id=heavy), aperture)
    assert shows(first, other.values("flux_relative")[good])
    assert f"R1: source {heavy}, 75%" in first.get_title(loc="left")
    assert f"R2: source {light}, 25%" in second.get_title(loc="left")
    assert f"C1: source {check}" in last.get_title(loc="left")
    assert {axes.get_ylim() for axes in drawn[0].axes} == {target.get_ylim()}


def test_without_a_star_to_compare_with_there_is_no_comparison(
    session: Session, made: MadeUp, curve: Callable[[int], LightCurve], drawn: list[Figure]
) -> None:
    session.execute(update(ReferenceStar).values(is_reference=False, role=None))
    with pytest.raises(DataError, match="no reference or check star"):
        draw_comparison(session, curve(made.variable), PATH)


def test_scatter_is_shown_against_gaias_magnitudes_where_the_night_has_zero_points(
    session: Session, made: MadeUp, drawn: list[Figure]
) -> None:
    """Zero point 20 + aperture, colour term 0.1 of colours that are 1 above the reference's."""
    pid = made.analysis_pid + 1
    session.execute(update(Observation).values(zero_point_pid=pid))
    fit = dict.fromkeys(("field_u", "field_v", "field_uu", "field_uv", "field_vv", "scatter"), 0.0)
    fit |= {"zero_point_error": 0.001, "colour_term": 0.1, "colour_reference": 0.5}
    for image_id, aperture in product(made.image_ids.tolist(), range(3)):
        point = {"pid": pid, "image_id": image_id, "aperture": aperture, "observation_id": made.observation_id}
        session.add(ZeroPoint(**point, zero_point=20.0 + aperture, stars=9, **fit))
    for source_id in made.source_ids.tolist():
        session.add(ZeroPointStar(pid=pid, source_id=source_id, u=0.0, v=0.0, colour=1.5, colour_error=0.0, used=True))
    session.flush()
    scatter_against_magnitude(session, find_observation(session), PATH)
    [axes] = drawn[0].axes
    stars = read_stars(session, made.analysis_pid)
    expected = 20.0 + stars.aperture - 2.5 * np.log10(stars.flux) + 0.1
    found = np.concatenate([np.asarray(one.get_offsets())[:, 0] for one in axes.collections])
    assert np.isin(expected.round(9), found.round(9)).all()
    assert "Gaia G" in axes.get_xlabel()


@pytest.mark.parametrize("shape", [(64, 520), (520, 64)])
def test_a_narrow_fields_legend_and_title_stand_clear_of_the_picture(
    session: Session, store: LocalImageStore, drawn: list[Figure], shape: tuple[int, int]
) -> None:
    made = made_up.add_light_curves(
        session, made_up.add_observation(session), np.random.default_rng(1), n_stars=8, shape=shape, store=store
    )
    facts = find_observation(session)
    target = find_source(session, facts, source_id=made.variable)
    stack_with_sources(session, store, facts, PATH, target)
    finding_chart(session, store, facts, target, PATH)
    for figure in drawn:
        everything = figure.bbox
        [legend] = figure.legends
        words = legend.get_window_extent()
        title = figure._suptitle.get_window_extent()  # type: ignore[attr-defined]
        for axes in figure.axes:
            panel = axes.get_tightbbox()
            assert panel is not None
            assert not words.overlaps(panel)
            assert not title.overlaps(panel)
        assert everything.x0 <= words.x0
        assert words.x1 <= everything.x1
    stack, _ = drawn
    assert stack.axes[0].get_window_extent().height > 0.35 * stack.bbox.height


def test_a_long_title_gets_more_lines() -> None:
    figure = new_figure(5.0, 3.0)
    head(figure, "a target of a very long name " * 6)
    figure.canvas.draw()
    title = figure._suptitle  # type: ignore[attr-defined]
    assert title.get_text().count("\n") >= 2
    assert title.get_window_extent().x1 < figure.bbox.x1


def test_magnitudes_of_known_fluxes() -> None:
    np.testing.assert_allclose(magnitudes(np.array([1.0, 100.0])), [25.0, 20.0])
