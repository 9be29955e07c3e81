"""`place_frames`: coordinates and times of frames that were measured before their field was solved."""

from typing import Any

from sqlalchemy.orm import Session

from schema.base import table_of
from schema.found import FrameSight
from schema.queries import frames
from schema.queries.finding import insert_found
from services.steps.shared.frame_alignment import alignment_of
from services.steps.shared.graph_field import field_of
from services.steps.shared.image_files import path_of
from services.steps.shared.needs import OWN, named, optional, required, some_of
from services.steps.shared.step import Context, Outputs, Parameters, Step
from services.steps.solve_later import solution_among


class PlaceFramesParameters(Parameters):
    """PIDs of the `solve` that `extract` went by, and of those that came later."""

    solved: int
    later: tuple[int, ...]


def run(context: Context, parameters: PlaceFramesParameters) -> Outputs | None:
    """Do for each frame what `extract` does where it knows the field; where it knew, there is nothing to do."""
    with context.reading() as session:
        if solution_among(session, (parameters.solved,)) is not None:
            return None
        solution = solution_among(session, parameters.later)
        if solution is None:
            return None
        field = field_of(context, session, solution.pid)
        aligned = [
            frame
            for frame in frames.of_graph(session, context.graph_pid, context.pid)
            if frame.dx is not None and frame.deleted_at is None
        ]
    assert field is not None
    sights: list[dict[str, Any]] = []
    for frame in aligned:
        seen = field.seen_in(frame)
        context.images.add_cards(path_of(frame), field.cards_of(frame, alignment_of(frame), seen))
        if seen is not None:
            sights.append({"image_id": frame.image_id, "pid": context.pid, **seen})

    def write(session: Session) -> None:
        insert_found(session, table_of(FrameSight), sights)

    return write


PLACE_FRAMES = Step(
    "place_frames",
    PlaceFramesParameters,
    run,
    gives="WCS and times of frames that were measured before",
    template=OWN,
    needs=(
        required("detect"),
        named("solve", "solved"),
        optional("solve_index", "solve_archive", all_into="later"),
        some_of("extract"),
    ),
    tables=(FrameSight,),
    joins=True,
)
