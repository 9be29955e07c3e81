"""`solve_index` and `solve_archive`: seek for long what `solve` did not find at once, each by one source of stars.

The frames are measured meanwhile, and sources get their coordinates when there are any. The archive may be away, so
that it is asked in a process of its own: a retry repeats no search that has ended.
"""

from dataclasses import replace

from sqlalchemy.orm import Session

from schema.image import TEMPLATE
from schema.skies import PlateSolution
from services.choices import Choices
from services.sky.catalogue import faintest_mag
from services.sky.solving.hints import Hints
from services.sky.solving.solution import Field, Solution, Unsolved
from services.sky.solving.solver import ask_catalogue, search_index_files
from services.sky.solving.solvers import Solvers, open_solvers
from services.steps.shared.needs import OWN, optional, required
from services.steps.shared.sky_registration import solution_of
from services.steps.shared.step import Context, Outputs, Step
from services.steps.solve import READS, SolveParameters, solve_by


class SolveLaterParameters(SolveParameters):
    """As those of `solve`, and the PIDs of those that tried before."""

    before: tuple[int, ...]


def run_index(context: Context, parameters: SolveLaterParameters) -> Outputs | None:
    """Search among the index files for `solve_time_s`; nothing to do where the template is solved or none are there."""
    if _is_solved(context, parameters):
        return None
    solvers = replace(open_solvers(context.deployment, context.choices), catalogue=None)
    if not solvers.index_files:
        return None
    mag_limit, time_limit_s = faintest_mag(context.choices), context.choices.solve_time_s
    at_hand = open_solvers(
        context.deployment, context.choices, patience_s=0.0
    )  # a file, or what the archive's cache holds

    def search(field: Field, hints: Hints, _: Solvers) -> Solution | Unsolved:
        return search_index_files(field, hints, at_hand, mag_limit, time_limit_s)

    return solve_by(context, parameters, solvers, search)


def run_archive(context: Context, parameters: SolveLaterParameters) -> Outputs | None:
    """Find the field among the stars of Gaia's archive, which fails and is tried again where that is away.

    Nothing to do where the template is solved, or nobody knows where on the sky to ask.
    """
    if _is_solved(context, parameters):
        return None
    solvers = replace(open_solvers(context.deployment, context.choices), index_files=())
    mag_limit = faintest_mag(context.choices)

    def ask(field: Field, hints: Hints, solvers: Solvers) -> Solution | Unsolved:
        return ask_catalogue(field, hints, solvers, mag_limit)

    return solve_by(context, parameters, solvers, ask)


def solution_among(session: Session, pids: tuple[int, ...]) -> PlateSolution | None:
    """The first of these processes' rows that has a WCS."""
    return next(filter(None, (solution_of(session, pid) for pid in pids)), None)


def _is_solved(context: Context, parameters: SolveLaterParameters) -> bool:
    with context.reading() as session:
        return solution_among(session, parameters.before) is not None


def asks_archive(choices: Choices) -> bool:
    """Whether stars may come over the network."""
    return choices.catalog == "gaia" and choices.catalog_file is None


SOLVERS = ("solve", "solve_index", "solve_archive")  # commands in the order in which they try
# Run again, one of them knows of those that tried before, itself among them.
_NEEDS = (required("stack", "template"), required("detect"), optional(*SOLVERS, all_into="before"))
SOLVE_INDEX = Step(
    "solve_index",
    SolveLaterParameters,
    run_index,
    gives="WCS by a longer search among index files, where there is none",
    template=OWN,
    needs=_NEEDS,
    reads=(*READS, "solve_time_s"),
    begins_early=True,
    uses=(TEMPLATE,),  # where there is something to search with
    anywhere=True,
    tables=(PlateSolution,),
    joins=True,
)
SOLVE_ARCHIVE = Step(
    "solve_archive",
    SolveLaterParameters,
    run_archive,
    gives="WCS by the stars of Gaia's archive, where there is none",
    template=OWN,
    needs=_NEEDS,
    reads=READS,
    begins_early=True,
    uses=(TEMPLATE,),  # where there is something to search with
    anywhere=True,
    tables=(PlateSolution,),
    joins=True,
    wanted=asks_archive,
)
