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
) -> None:
    """Simulate a night with known truth: stars, seeing, drift, clouds, trails, hot pixels, a transit and more.

    The truth lies beside the frames in `truth/`.

    Examples: `tianyu simulate night`, `tianyu simulate night --preset night --frames 60 --size 1024 --seed 7`
    """
    start()
    from services.simulate import night_spec
    from services.simulate import simulate as render

    shape = None if size is None else (size, size)
    spec = night_spec(preset, n_frames=frames, n_stars=stars, shape=shape, seed=seed)
    with progress() as bars:
        task = bars.add_task("rendering frames", note="")
        folder = render(spec, out_dir, lambda done, total: bars.update(task, completed=done, total=total))
    out.print(f"frames and truth are in {folder}", soft_wrap=True)
