"""Graphs of all kinds, each in words: `python -m tests.unit.publisher.cases` writes them anew under graphs/."""

import tempfile
from collections.abc import Callable
from datetime import date
from pathlib import Path

from services.errors import ConfigurationError
from tests.unit.publisher.made_up import PID, Telescope

GRAPHS = Path(__file__).parent / "graphs"
MORE = {"catalog": "gaia", "detrend_method": "sysrem"}  # all steps that there are
LIGHT = (
    *("calibrate", "choose_reference", "align", "select", "stack", "solve", "detect", "extract", "solve_index"),
    *("solve_archive", "place_frames", "crossmatch", "calibrate_relative", "detrend", "analyze", "zero_point"),
)
JOINING = LIGHT[LIGHT.index("solve_index") :]
NEXT = date(2024, 3, 5)

Case = Callable[[Path], str]


def plain(folder: Path) -> str:
    telescope = Telescope(folder)
    return telescope.describe(telescope.publish(telescope.observe()))


def one_frame(folder: Path) -> str:
    telescope = Telescope(folder)
    return telescope.describe(telescope.publish(telescope.observe(frames=1)))


def masters(folder: Path) -> str:
    """With the engine's own settings, too."""
    telescope = Telescope(folder, groups={"extract": "gpu"}, max_attempts=7, solve_radec="12.5d,-4.5d")
    for kind, frames in (("bias", 4), ("dark", 10), ("flat", 3)):
        telescope.observe(kind, frames)
    return telescope.describe(telescope.publish(telescope.observe(), priority=10))


def masters_alone(folder: Path) -> str:
    telescope = Telescope(folder)
    kinds = [telescope.observe(kind, 4) for kind in ("bias", "dark", "flat")]
    return "\n".join(telescope.describe(telescope.publish(kind)) for kind in kinds)


def some_masters(folder: Path) -> str:
    """Made before, of another night; no darks."""
    telescope = Telescope(folder)
    for kind in ("bias", "flat"):
        telescope.observe(kind, 2)
    telescope.publish(telescope.observe(frames=2))
    telescope.succeed()
    return telescope.describe(telescope.publish(telescope.observe(frames=2, night=NEXT)))


def methods(folder: Path) -> str:
    telescope = Telescope(
        folder,
        relative_methods=("manual", "paper", "ensemble"),
        manual_targets=("10,20",),
        manual_references=("17",),
        manual_match_px=3.0,
        pick_references=7,
        detrend_method="trends",
        catalog_file=Path("gaia.csv"),
    )
    return telescope.describe(telescope.publish(telescope.observe(frames=2)))


def everything(folder: Path) -> str:
    telescope = Telescope(folder, **MORE)
    telescope.observe("bias", 2)
    return telescope.describe(telescope.publish(telescope.observe()))


def known_template(folder: Path) -> str:
    """Three frames on another night's template; then two that came later."""
    telescope = Telescope(folder, **MORE)
    telescope.observe("bias", 2)
    telescope.publish(telescope.observe())
    telescope.succeed()
    later = telescope.observe(frames=3, night=NEXT)
    first = telescope.describe(telescope.publish(later, known=True))
    telescope.succeed()
    telescope.add_frames(later, 2)
    return first + "\n" + telescope.describe(telescope.publish(later, known=True))


def unsolved_template(folder: Path) -> str:
    """A template that nobody tried to solve: of a graph of an earlier version."""
    telescope = Telescope(folder)
    telescope.publish(telescope.observe(frames=2))
    telescope.succeed(solver=None)
    telescope.forget_solve()
    return telescope.describe(telescope.publish(telescope.observe(frames=2, night=NEXT), known=True))


def _rerun(step: str) -> Case:
    def case(folder: Path) -> str:
        telescope = Telescope(folder, **MORE)
        telescope.observe("bias", 2)
        light = telescope.observe()
        telescope.publish(light)
        telescope.succeed()
        return telescope.describe(telescope.rerun(light, step, priority=5))

    return case


def reruns_of_masters(folder: Path) -> str:
    told = []
    for kind, step in (
        ("bias", "stack_bias"),
        ("dark", "stack_dark"),
        ("flat", "calibrate_flat"),
        ("flat", "combine_flat"),
    ):
        (folder / step).mkdir()
        telescope = Telescope(folder / step)
        numbers = {one: telescope.observe(one, 4) for one in ("bias", "dark", "flat")}
        telescope.publish(numbers["flat"])
        telescope.succeed()
        told.append(telescope.describe(telescope.rerun(numbers[kind], step)))
    return "\n".join(told)


def reruns_of_reruns(folder: Path) -> str:
    """Solved late; then from steps that join, from one that does not, and with what `tianyu gc` removed."""
    telescope = Telescope(folder, **MORE)
    light = telescope.observe()
    telescope.publish(light)
    telescope.succeed("solve_index")
    told = []
    for step in ("analyze", "solve_archive", "solve_index", "calibrate_relative", "zero_point", "select", "extract"):
        told.append(telescope.describe(telescope.rerun(light, step)))
        telescope.succeed()
    telescope.delete_images("template")
    told.append(telescope.describe(telescope.rerun(light, "detect")))
    telescope.succeed()
    telescope.delete_images("calibrated")
    told.append(telescope.describe(telescope.rerun(light, "extract")))
    return "\n".join(told)


def _each_rerun(telescope: Telescope, observation: int) -> str:
    """What comes of a rerun from each step, one after the other, or why nothing does."""
    told = []
    for step in LIGHT:
        try:
            told.append(telescope.describe(telescope.rerun(observation, step)))
        except ConfigurationError as error:
            told.append(PID.sub("a graph", str(error)) + "\n")
        else:
            telescope.succeed()
    return "\n".join(told)


def reruns_without_catalogue(folder: Path) -> str:
    telescope = Telescope(folder)
    light = telescope.observe(frames=2)
    telescope.publish(light)
    telescope.succeed()
    return _each_rerun(telescope, light)


def reruns_of_failures(folder: Path) -> str:
    """Nothing comes of what needs a step that failed for all frames."""
    told = []
    for failed in LIGHT[:-1]:
        (folder / failed).mkdir()
        telescope = Telescope(folder / failed, **MORE)
        light = telescope.observe(frames=2)
        telescope.publish(light)
        telescope.succeed(failed=LIGHT[LIGHT.index(failed) :])
        for step in LIGHT[LIGHT.index(failed) + 1 :]:
            try:
                counts = telescope.rerun(light, step).counts()
            except ConfigurationError as error:
                told.append(PID.sub("a graph", str(error)))
                continue
            told.append(f"from {step}: " + ", ".join(f"{n} {command}" for command, n in counts.items()))
            telescope.succeed(failed=LIGHT)
    return "\n".join(told) + "\n"


def reruns_on_a_known_template(folder: Path) -> str:
    telescope = Telescope(folder, **MORE)
    telescope.publish(telescope.observe(frames=2))
    telescope.succeed()
    later = telescope.observe(frames=2, night=NEXT)
    telescope.publish(later, known=True)
    telescope.succeed()
    return _each_rerun(telescope, later)


CASES: dict[str, Case] = {
    case.__name__: case
    for case in (
        plain,
        one_frame,
        masters,
        masters_alone,
        some_masters,
        methods,
        everything,
        known_template,
        unsolved_template,
        reruns_of_masters,
        reruns_of_reruns,
        reruns_without_catalogue,
        reruns_of_failures,
        reruns_on_a_known_template,
    )
} | {f"rerun_from_{step}": _rerun(step) for step in LIGHT}


def main() -> None:
    """Write all."""
    for name, case in CASES.items():
        with tempfile.TemporaryDirectory() as folder:
            (GRAPHS / f"{name}.txt").write_text(case(Path(folder)))


if __name__ == "__main__":
    main()
