"""A new graph takes over what processes of an earlier graph of its observation made; rows are copied, files are not."""

from collections.abc import Iterable, Mapping

from sqlalchemy.orm import Session

from schema.base import table_of
from schema.found import OF_CALIBRATED
from schema.processes import Process
from schema.queries import adopting, frames
from schema.queries.outdated import unlike_their_keys
from services.engine.publisher.former import Former
from services.engine.publisher.graph import Graph
from services.steps import STEPS
from services.steps.detect import DETECT
from services.steps.shared.apertures import choose_apertures, write_apertures
from services.steps.shared.needs import Each
from services.steps.shared.step import AnyStep
from services.steps.solve import SOLVE


def take_over(session: Session, graph: Graph, old_graph: int, pids: Mapping[int, int]) -> None:
    """Give published processes of a graph the images and rows of old ones (``old: new``), whose ends they have.

    The caller has locked the old graph.
    """
    commands = {process.pid: process.command for process in graph.processes}
    steps = {STEPS[commands[new]] for new in pids.values()}
    found = [table_of(model) for model in OF_CALIBRATED if any(model in step.tables for step in steps)]
    combining = [step.command for step in steps if _combines(step)]
    adopting.take_over_images(session, pids, graph.graph_pid, combining, found)
    for old, new in pids.items():
        if commands[new] == SOLVE.command:
            # What was found late is known from the start now.
            adopting.take_over_solution(session, adopting.solved_by(session, old_graph) or old, new, pids)
        elif commands[new] == DETECT.command:
            adopting.take_over_detection(session, old, pids)
            # Apertures are by the new graph's choices, and of the frames that the one which ran saw.
            ran = adopting.origin_of(session, session.get_one(Process, old))
            good = [frame for frame in frames.of_graph(session, ran.graph_pid, ran.pid) if frame.good]
            write_apertures(session, graph.graph_pid, graph.observation_id, choose_apertures(graph.choices, good))


def lost_keys(session: Session, origins: Mapping[int, int], formers: Iterable[Former]) -> dict[int, str | None]:
    """PIDs of what takes over results that are not those of their keys (``origins``: by PID), and so has no key.

    Who asks for it on purpose takes such results over; nobody else takes them for those of their keys. What earlier
    graphs have of a new one was looked at when they were found.
    """
    looked_at = {one.pid for former in formers for one in former.by_key.values()}
    unlike = unlike_their_keys(session, {*origins.values()} - looked_at)
    return {new: None for new, old in origins.items() if old in unlike}


def _combines(step: AnyStep) -> bool:
    """Whether it makes images from others of its own graph."""
    needs = {command for need in step.needs for command in need.commands}
    return step.each is Each.TREE or any(STEPS[command].kind == step.kind for command in needs)
