"""The steps, one per command, in the order in which an observation takes them."""

from collections.abc import Iterable

from pipeline.kernels.library import MissingKernelsError, load
from services.choices import Choices
from services.errors import ConfigurationError
from services.steps.align import ALIGN
from services.steps.analyze import ANALYZE
from services.steps.append_relative import APPEND_RELATIVE
from services.steps.calibrate import CALIBRATE
from services.steps.calibrate_relative import CALIBRATE_RELATIVE
from services.steps.capture import CAPTURE_FRAME
from services.steps.check import CHECK
from services.steps.choose_reference import CHOOSE_REFERENCE
from services.steps.crossmatch import CROSSMATCH
from services.steps.detect import DETECT
from services.steps.detrend import DETREND
from services.steps.extract import EXTRACT
from services.steps.flats import CALIBRATE_FLAT, COMBINE_FLAT
from services.steps.force_fluxes import FORCE_FLUXES
from services.steps.force_places import FORCE_PLACES
from services.steps.force_terms import FORCE_TERMS
from services.steps.pack import PACK
from services.steps.place_frames import PLACE_FRAMES
from services.steps.select import SELECT
from services.steps.shared.step import AnyStep
from services.steps.solve import SOLVE
from services.steps.solve_later import SOLVE_ARCHIVE, SOLVE_INDEX
from services.steps.stack import STACK
from services.steps.stack_master import STACK_BIAS, STACK_DARK
from services.steps.transfer import TRANSFER
from services.steps.zero_point import ZERO_POINT

ORDER: tuple[AnyStep, ...] = (
    CAPTURE_FRAME,
    STACK_BIAS,
    STACK_DARK,
    CALIBRATE_FLAT,
    COMBINE_FLAT,
    CALIBRATE,
    CHOOSE_REFERENCE,
    ALIGN,
    SELECT,
    STACK,
    PACK,
    TRANSFER,
    SOLVE,
    DETECT,
    EXTRACT,
    SOLVE_INDEX,
    SOLVE_ARCHIVE,
    PLACE_FRAMES,
    CROSSMATCH,
    CALIBRATE_RELATIVE,
    APPEND_RELATIVE,
    DETREND,
    ANALYZE,
    ZERO_POINT,
    FORCE_PLACES,
    FORCE_FLUXES,
    FORCE_TERMS,
    CHECK,
)
STEPS: dict[str, AnyStep] = {step.command: step for step in ORDER}
COMMANDS: tuple[str, ...] = tuple(STEPS)


def steps_of(kind: str | None) -> tuple[AnyStep, ...]:
    """Those that an observation of such frames takes."""
    return tuple(step for step in ORDER if step.kind == kind)


def last_of(choices: Choices) -> AnyStep:
    """The last step that the choices ask for.

    Raises:
        ConfigurationError: no graph has a step of that name; the message lists all.
    """
    names = [step.command for step in ORDER if step.kind is not None]
    if choices.until_step is None:
        return STEPS[names[-1]]
    if choices.until_step not in names:
        raise ConfigurationError(f"there is no step {choices.until_step!r}: the steps are {', '.join(names)}")
    return STEPS[choices.until_step]


def asked_for(steps: Iterable[AnyStep], choices: Choices) -> list[AnyStep]:
    """Those of some steps that the choices ask for.

    Raises:
        ConfigurationError: as before.
    """
    end = ORDER.index(last_of(choices))
    return [step for step in steps if ORDER.index(step) <= end and step.is_wanted(choices)]


def masters_of(kind: str) -> tuple[AnyStep, ...]:
    """Those of other observations whose images such frames are calibrated with."""
    wanted = {command for step in steps_of(kind) for need in step.needs for command in need.commands}
    return tuple(step for step in ORDER if step.command in wanted and step.kind != kind)


def from_on(step: AnyStep) -> tuple[AnyStep, ...]:
    """What is done again from a step on: what follows it; for light curves of a method alone what is of methods."""
    steps = steps_of(step.kind)
    following = steps[steps.index(step) :]
    return tuple(one for one in following if step.each.item != "method" or one.each.item == "method")


def preload() -> None:
    """Import what steps import when they first need it: a consumer does so before its first workers are forked.

    Raises:
        ConfigurationError: Tianyu is not whole here.
    """
    import astropy.io.fits  # noqa: F401
    import scipy.spatial
    import scipy.special  # noqa: F401

    try:
        load()
    except MissingKernelsError as error:
        raise ConfigurationError(str(error)) from error
