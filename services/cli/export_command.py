"""`tianyu export`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from services.cli.console import ForceOption, friendly, print_paths, start
from services.cli.star_options import aperture_choice, takes_star
from services.errors import ConfigurationError
from services.results.positions import Star

Format = Literal["qlcp", "regions", "report", "cutout", "cutouts", "parquet", "forced", "hats", "forced-hats"]
SUFFIXES = {".reg": "regions", ".pdf": "report", ".fits": "cutout"}
OF_ONE = ("qlcp", "regions", "report", "cutout", "cutouts")  # which take one observation, and a star


@friendly
@takes_star
def export(
    observations: Annotated[
        list[int] | None, typer.Argument(help="Observations; `parquet`, `forced` and both of HATS take all without.")
    ] = None,
    output: Annotated[Path, typer.Option(metavar="PATH", help="File or folder.")] = ...,  # type: ignore[assignment]
    star: Star | None = None,
    format_name: Annotated[
        Format | None,
        typer.Option("--format", "--layout", help="By default as the file's name ends, and `qlcp` of a folder."),
    ] = None,
    size: Annotated[int, typer.Option(min=1, help="Of cutouts: pixels a side.")] = 100,
    frame: Annotated[
        list[int] | None, typer.Option(metavar="IMAGE_ID", help="Of cutouts: this calibrated frame, repeatable.")
    ] = None,
    aperture: Annotated[str, typer.Option(help="Of `parquet` and `forced`: best, or the index of one.")] = "best",
    force: ForceOption = False,
) -> None:
    """Write observations as files of other programs.

    `qlcp`: catalogue and calibrated light curves (FITS and text, one folder an aperture), list, offsets, finding
    chart, and the light curve as PNG and PDF. The target is the star that is named, else those of the calibration
    (`manual_targets`), else the one that plots show. `regions`: the sources as regions of DS9. `report`: one page (PDF)
    on the night, or on the star that is named. `cutout`: the template around the star (FITS, with its WCS),
    or a calibrated frame (`--frame`). `cutouts`: all good frames around the star, a file each in a folder.

    `parquet`: all light curves, one file a night in folders night=…/filter=…; a later export replaces its own nights'
    files. `forced`: fluxes and limits at places that were asked for, files of nights in a folder of their own.
    `hats`: all stars with a place on the sky and their light curves, a catalogue that LSDB opens. `forced-hats`: the
    same of places that were asked for, with fluxes and limits, in a folder of its own.

    Examples: `tianyu export 4 --output ~/red`, `tianyu export 4 --target HAT-P-32 --output ~/red`,
    `tianyu export 4 --output field.reg`, `tianyu export 4 --output night.pdf`,
    `tianyu export 4 --source 17 --output cutout.fits`, `tianyu export 4 --source 17 --frame 116 --output frame.fits`,
    `tianyu export 4 --source 17 --format cutouts --size 64 --output stamps`,
    `tianyu export --format parquet --output ~/nights`, `tianyu export --format forced --output ~/forced`,
    `tianyu export --format hats --output ~/sky`
    """
    from services.cli.export_kinds import (
        export_catalog,
        export_cutout,
        export_forced,
        export_frame_cutouts,
        export_layout,
        export_nights,
        export_places,
        export_regions,
        export_report,
    )

    kind = format_name or SUFFIXES.get(output.suffix.lower(), "qlcp")
    settings = start()
    numbers = list(dict.fromkeys(observations or []))
    if kind in OF_ONE:
        if len(numbers) != 1:
            raise ConfigurationError(f"format {kind} is of one observation: name it, as `tianyu status` lists it")
        if frame and kind not in ("cutout", "cutouts"):
            raise ConfigurationError(f"format {kind} has no single frames: leave out --frame")
        if kind == "cutouts" or frame:
            print_paths(export_frame_cutouts(settings, numbers[0], star, size, output, force, frame or ()))
            return
        if kind == "cutout":
            print_paths(export_cutout(settings, numbers[0], star, size, output, force))
            return
        write = {"qlcp": export_layout, "regions": export_regions, "report": export_report}[kind]
        print_paths(write(settings, numbers[0], star, output, force))
        return
    if star is not None:
        raise ConfigurationError(f"format {kind} has all stars: `tianyu lightcurve` writes one")
    if kind == "parquet":
        chosen = aperture_choice(aperture)
        print_paths(export_nights(settings, numbers, None if chosen == "best" else int(chosen), output, force))
    elif kind == "forced":
        print_paths(export_forced(settings, numbers, aperture_choice(aperture), output, force))
    else:
        if aperture != "best":
            raise ConfigurationError("a HATS catalogue has the best aperture of each star or place and night")
        write_all = export_places if kind == "forced-hats" else export_catalog
        print_paths(write_all(settings, numbers, output, force))
