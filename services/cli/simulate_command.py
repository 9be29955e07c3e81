"""`tianyu simulate`."""

from pathlib import Path
from typing import Annotated

import typer

from services.cli.console import counting, friendly, out, start
from services.errors import ConfigurationError

MAXIMUM_DIGITS = 5  # of a side: no camera has more
PRESET_HELP = (
    "demo (small, seconds), night, or a harder one: window, defocus, spider, coma, undersampled, halo, few, wide, west."
)


@friendly
def simulate(
    out_dir: Annotated[Path, typer.Argument(help="New folder for the frames and their truth.")],
    preset: Annotated[str, typer.Option(help=PRESET_HELP)] = "demo",
    frames: Annotated[int | None, typer.Option(min=1, help="Number of light frames.")] = None,
    stars: Annotated[int | None, typer.Option(min=1, help="Number of stars.")] = None,
    size: Annotated[
        str | None, typer.Option(metavar="N or ROWSxCOLUMNS", help="Pixels of a side, or rows and columns.")
    ] = None,
    seed: Annotated[int | None, typer.Option(min=0, help="Another seed is another night.")] = None,
    sky_seed: Annotated[
        int | None, typer.Option(min=0, help="Nights of the same number show the same stars; without, each its own.")
    ] = None,
    filter_name: Annotated[str | None, typer.Option("--filter", help="Name of the filter.")] = None,
    colour_term: Annotated[
        float | None, typer.Option(help="Magnitudes in the filter are those of --band + this times (BP − RP).")
    ] = None,
    band: Annotated[
        str | None, typer.Option(help="G, or B, V, Rc, Ic, g, r, i by Gaia's relations: what the filter nearly is.")
    ] = None,
    defocus: Annotated[float | None, typer.Option(help="Stars are rings this many pixels across.")] = None,
    pixel_scale: Annotated[float | None, typer.Option(help="Arcsec a pixel.")] = None,
    ra: Annotated[float | None, typer.Option(help="Of the frame's middle, degrees.")] = None,
    dec: Annotated[float | None, typer.Option(help="Of the frame's middle, degrees.")] = None,
    position_angle: Annotated[float | None, typer.Option(help="Of +y, degrees from north through east.")] = None,
    mirrored: Annotated[bool, typer.Option("--mirrored", help="East is clockwise of north on the frames.")] = False,
    telescope: Annotated[str | None, typer.Option(help="Name of the telescope.")] = None,
    start_jd: Annotated[float | None, typer.Option(help="When the first exposure begins, JD (UTC).")] = None,
) -> None:
    """Simulate a night with known truth: stars, seeing, drift, clouds, trails, hot pixels, a transit and more.

    The truth lies beside the frames in `truth/`, with a catalogue of the field as Gaia has it in `truth/gaia.csv`.

    Examples: `tianyu simulate night`, `tianyu simulate night --preset night --frames 60 --size 1024 --seed 7`,
    `tianyu simulate window --preset window --size 120x520 --frames 200`,
    `tianyu simulate other --sky-seed 3 --telescope WIDE --pixel-scale 1.4 --position-angle 130 --mirrored --filter V`
    """
    from pipeline.trials.simulation.psf import Ring
    from services.trials.simulate import night_spec
    from services.trials.simulate import simulate as render

    start()

    spec = night_spec(
        preset,
        n_frames=frames,
        n_stars=stars,
        shape=None if size is None else _shape(size),
        psf=None if defocus is None else Ring(defocus),
        ra_deg=ra,
        dec_deg=dec,
        seed=seed,
        sky_seed=sky_seed,
        filter_name=filter_name,
        colour_term=colour_term,
        band=band,
        pixel_scale=pixel_scale,
        position_angle_deg=position_angle,
        mirrored=mirrored or None,
        telescope=telescope,
        start_jd=start_jd,
    )
    with counting("rendering frames") as count:
        folder = render(spec, out_dir, count)
    out.print(f"frames and truth are in {folder}", soft_wrap=True)


def _shape(size: str) -> tuple[int, int]:
    """(ny, nx) of ``512`` or ``64x520``."""
    sides = size.lower().split("x")
    if len(sides) > 2 or not all(side.isdecimal() and len(side) <= MAXIMUM_DIGITS for side in sides):
        raise ConfigurationError(f"--size is {size!r}, expected pixels as in 512, or rows and columns as in 64x520")
    return int(sides[0]), int(sides[-1])
