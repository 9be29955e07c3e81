"""`tianyu simulate`."""

from pathlib import Path
from typing import Annotated

import typer

from services.cli.console import friendly, out, progress, start


@friendly
def simulate(
    out_dir: Annotated[Path, typer.Argument(help="New folder for the frames and their truth.")],
    preset: Annotated[str, typer.Option(help="demo (small, seconds) or night.")] = "demo",
    frames: Annotated[int | None, typer.Option(min=1, help="Number of light frames.")] = None,
    stars: Annotated[int | None, typer.Option(min=1, help="Number of stars.")] = None,
    size: Annotated[int | None, typer.Option(min=64, help="Pixels of a side.")] = None,
    seed: Annotated[int | None, typer.Option(min=0, help="Another seed is another night.")] = None,
    sky_seed: Annotated[
        int | None, typer.Option(min=0, help="Nights of the same number show the same stars; without, each its own.")
    ] = None,
    filter_name: Annotated[str | None, typer.Option("--filter", help="Name of the filter.")] = None,
    colour_term: Annotated[
        float | None, typer.Option(help="Magnitudes in the filter are G + this times (BP − RP).")
    ] = None,
    pixel_scale: Annotated[float | None, typer.Option(help="Arcsec a pixel.")] = None,
    position_angle: Annotated[float | None, typer.Option(help="Of +y, degrees from north through east.")] = None,
    mirrored: Annotated[bool, typer.Option("--mirrored", help="East is clockwise of north on the frames.")] = False,
    telescope: Annotated[str | None, typer.Option(help="Name of the telescope.")] = None,
    start_jd: Annotated[float | None, typer.Option(help="When the first exposure begins, JD (UTC).")] = None,
) -> None:
    """Simulate a night with known truth: stars, seeing, drift, clouds, trails, hot pixels, a transit and more.

    The truth lies beside the frames in `truth/`, with a catalogue of the field as Gaia has it in `truth/gaia.csv`.

    Examples: `tianyu simulate night`, `tianyu simulate night --preset night --frames 60 --size 1024 --seed 7`,
    `tianyu simulate other --sky-seed 3 --telescope WIDE --pixel-scale 1.4 --position-angle 130 --mirrored --filter V`
    """
    start()
    from services.simulate import night_spec
    from services.simulate import simulate as render

    shape = None if size is None else (size, size)
    spec = night_spec(
        preset,
        n_frames=frames,
        n_stars=stars,
        shape=shape,
        seed=seed,
        sky_seed=sky_seed,
        filter_name=filter_name,
        colour_term=colour_term,
        pixel_scale=pixel_scale,
        position_angle_deg=position_angle,
        mirrored=mirrored or None,
        telescope=telescope,
        start_jd=start_jd,
    )
    with progress() as bars:
        task = bars.add_task("rendering frames", note="")
        folder = render(spec, out_dir, lambda done, total: bars.update(task, completed=done, total=total))
    out.print(f"frames and truth are in {folder}", soft_wrap=True)
