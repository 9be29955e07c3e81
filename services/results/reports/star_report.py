"""One page on a star in a night: what it is, where it lies, its light curve, and the night's frames."""

from pathlib import Path

import numpy as np
from sqlalchemy.orm import Session

from services.image_store import ImageStore
from services.results.lightcurves.reading import LightCurve
from services.results.lightcurves.sky_field import gaia_names
from services.results.plots.light_curve_plot import draw_series, time_axis
from services.results.plots.night_frames import read_frames
from services.results.plots.style import head, save, tidy
from services.results.plots.time_bins import point_to_point
from services.results.reports.page_parts import Fact, draw_field, draw_frames, page, write_facts


def star_report(session: Session, images: ImageStore | None, curve: LightCurve, path: Path) -> Path:
    """Write the page.

    Raises:
        DataError: no frame is aligned.
        ConfigurationError: the file cannot be written.
    """
    figure = page()
    grid = figure.add_gridspec(3, 2, height_ratios=(1.15, 1.3, 0.7), width_ratios=(1.3, 1.0))
    write_facts(figure.add_subplot(grid[0, 0]), facts_of(session, curve))
    draw_field(figure.add_subplot(grid[0, 1]), session, images, curve.observation, (curve.source.x, curve.source.y))
    time, origin, scale = time_axis(curve)
    axes = figure.add_subplot(grid[1, :])
    words = draw_series(axes, curve, time, "flux_relative")
    tidy(axes, f"{scale} − {origin:.0f} (days)", "relative flux")
    axes.set_title(words, fontsize=8.5, loc="left", pad=18)
    axes.legend(frameon=False, fontsize=7, ncols=5, loc="lower left", bbox_to_anchor=(0.0, 1.0))
    draw_frames(figure.add_subplot(grid[2, :]), read_frames(session, curve.observation))
    head(figure, f"Source {curve.source.source_id}: {curve.observation.title}")
    return save(figure, path)


def facts_of(session: Session, curve: LightCurve) -> list[Fact]:
    """What is known of the star and its light curve."""
    star, meta = curve.source, curve.table.meta
    facts: list[Fact] = [("star", f"source {star.source_id}, x {star.x:.2f}, y {star.y:.2f} on the first frame")]
    if star.ra_deg is not None and star.dec_deg is not None:
        facts.append(("place (ICRS)", f"{star.ra_deg:.6f}, {star.dec_deg:+.6f} degrees"))
    gaia = gaia_names(session, [star.source_id]).get(star.source_id)
    if gaia is not None:
        facts.append(("Gaia DR3", str(gaia.gaia_source_id)))
        colour = "unknown" if gaia.colour is None else f"{gaia.colour:.3f}"
        facts.append(("", f"G {'unknown' if gaia.g_mag is None else f'{gaia.g_mag:.3f}'}, BP − RP {colour}"))
    usable = curve.usable
    flux, error = curve.values("flux_relative")[usable], curve.values("flux_relative_error")[usable]
    facts.append(("points", f"{int(usable.sum())} usable of {len(curve.table)}"))
    if np.isfinite(flux).sum() > 1:
        facts.append(("point to point", f"{point_to_point(flux[np.isfinite(flux)]):.3%}"))
        facts.append(("quoted error", f"{float(np.nanmedian(error)):.3%}, the median"))
    magnitude = curve.values("mag")[usable]
    if np.isfinite(magnitude).any():
        facts.append(("G of the night", f"{float(np.nanmedian(magnitude)):.3f}, the median"))
    facts.append(("aperture", ", ".join(curve.aperture_names.values())))
    named = {
        "calibration": "calibration_method",
        "camera": "instrument",
        "telescope": "telescope",
        "exposure (s)": "exposure_s",
        "Tianyu": "tianyu_version",
        "process": "calibration_pid",
        "choices": "choices",
    }
    facts += [(words, str(meta[name])) for words, name in named.items() if meta.get(name) not in (None, "", "{}")]
    return facts
