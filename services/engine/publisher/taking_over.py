"""A new graph takes over what processes of an earlier graph of its observation made; rows are copied, files are not."""

from collections.abc import Mapping

from sqlalchemy.orm import Session

from schema.processes import Process
from schema.queries import adopting, frames
from services.engine.publisher.graph import Graph
from services.steps.detect import DETECT
from services.steps.shared.apertures import choose_apertures, write_apertures
from services.steps.solve import SOLVE


def take_over(session: Session, graph: Graph, old_graph: int, pids: Mapping[int, int]) -> None:
    """Give published processes of a graph the images and rows of old ones (``old: new``), whose ends they have.

    The caller has locked the old graph.
    """
    image_ids = adopting.take_over_images(session, pids, graph.graph_pid)
    commands = {process.pid: process.command for process in graph.processes}
    for old, new in pids.items():
        if commands[new] == SOLVE.command:
            # What was found late is known from the start now.
            adopting.take_over_solution(session, adopting.solved_by(session, old_graph) or old, new, image_ids)
        elif commands[new] == DETECT.command:
            adopting.take_over_detection(session, old, new, image_ids)
            # Apertures are by the new graph's choices, and of the frames that the one which ran saw.
            ran = adopting.origin_of(session, session.get_one(Process, old))
            good = [frame for frame in frames.of_graph(session, ran.graph_pid, ran.pid) if frame.good]
            write_apertures(session, graph.graph_pid, graph.observation_id, choose_apertures(graph.choices, good))
