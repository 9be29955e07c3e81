"""What runs at another site than the frames gets its images there: a `pack` here and a `transfer` there before it.

Which process is where changes no result, so that no key knows of it: graphs are laid out, and what was made before is
found, as if all were here. What is left to run elsewhere then waits for the images that it opens.
"""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field

from sqlalchemy import select
from sqlalchemy.orm import Session, aliased

from schema.image import Image
from schema.processes import UNFINISHED, Process, ProcessDependence, Site
from schema.queries import images
from schema.queries.operating import lock
from schema.queries.publishing import NewProcess, new_pids
from schema.queries.scheduling import chunks
from services.deployment import Deployment
from services.engine.publisher.keys import needed
from services.engine.publisher.publication import Publication
from services.errors import ConfigurationError
from services.steps import ORDER, STEPS
from services.steps.pack import PACK, PackParameters
from services.steps.shared.step import MADE_BY
from services.steps.transfer import TRANSFER, TransferParameters

Trip = tuple[int, str]  # PID that made an image, and the site that it goes to


def bring_images(
    session: Session, deployment: Deployment, publication: Publication, origins: Mapping[int, int]
) -> None:
    """Add what brings images to where they are opened to a publication, behind all its other processes.

    ``origins``: of those that take over what others made, by PID: theirs.

    Raises:
        ConfigurationError: a step is put somewhere that cannot be there.
    """
    _require_placement(deployment)
    published = publication.processes
    away = [
        one
        for one in published
        if one.site not in (None, deployment.site) and one.pid not in origins and _opened_by(one)
    ]
    if not away:
        return
    pids = new_pids(session, published[-1].pid)
    travelling = _Travelling(session, deployment, {one.pid: one for one in published}, origins, pids)
    opened = travelling.opened_by(away)
    travelling.look_for_copies(away, opened)
    brought = {
        one.pid: tuple(travelling.brings(one, maker) for maker in opened[one.pid]) for one in away if opened[one.pid]
    }
    changed = [
        one._replace(required=(*one.required, *brought[one.pid])) if one.pid in brought else one for one in published
    ]
    publication.processes = changed + travelling.added


def _require_placement(deployment: Deployment) -> None:
    """Make sure that the steps which the settings put somewhere can be there."""
    for command in deployment.placement:
        if command not in STEPS or not STEPS[command].anywhere:
            can = ", ".join(step.command for step in ORDER if step.anywhere)
            why = "opens the frames, and runs where they are" if command in STEPS else "is no step"
            raise ConfigurationError(f"placement: {command!r} {why}; at another site can be {can}")


def _opened_by(process: NewProcess) -> tuple[str, ...]:
    """Kinds of images that a process opens."""
    step = STEPS[process.command]
    return (*step.opens, *step.uses)


@dataclass
class _Travelling:
    session: Session
    deployment: Deployment
    published: Mapping[int, NewProcess]
    origins: Mapping[int, int]
    pids: Iterator[int]
    added: list[NewProcess] = field(default_factory=list)
    packs: dict[int, int] = field(default_factory=dict)  # by PID that made an image
    transfers: dict[Trip, int] = field(default_factory=dict)

    def opened_by(self, away: Collection[NewProcess]) -> dict[int, list[int]]:
        """PIDs of what makes the images that each process opens: of its needs, or its graph's one of that kind."""
        outside = {pid for one in away for pid in needed(one)} - self.published.keys()
        commands = {pid: one.command for pid, one in self.published.items()}
        for part in chunks(sorted(outside)):
            query = select(Process.pid, Process.command).where(Process.pid.in_(part))
            commands |= dict(self.session.execute(query).all())
        found: dict[int, list[int]] = {}
        for one in away:
            found[one.pid] = []
            for kind in _opened_by(one):
                makers = sorted(pid for pid in needed(one) if MADE_BY.get(kind) == commands.get(pid))
                found[one.pid] += makers or self._of_graph(one.graph_pid, kind)
        return found

    def _of_graph(self, graph_pid: int, kind: str) -> list[int]:
        """What makes the one image of its kind of a graph; nothing where there is none."""
        made = [
            one.pid for one in self.published.values() if (one.graph_pid, one.command) == (graph_pid, MADE_BY[kind])
        ]
        if made:
            return [max(made)]  # of a tree the root stands behind all others
        query = select(Image.pid).where(Image.graph_pid == graph_pid, Image.kind == kind, Image.pid.is_not(None))
        there = self.session.scalars(query.where(Image.deleted_at.is_(None)))  # else it goes on without, as at one site
        return [pid for pid in there if pid is not None]

    def look_for_copies(self, away: Collection[NewProcess], opened: Mapping[int, Collection[int]]) -> None:
        """Find what is there already, or on its way, and hold it: `tianyu gc` sees what waits for it from now on."""
        trips = {(maker, str(one.site)): one for one in away for maker in opened[one.pid]}
        sites = dict(self.session.execute(select(Site.name, Site.site_id)).all())
        for site in {site for _, site in trips} & sites.keys():
            of_site = [(maker, one.observation_id) for (maker, its), one in trips.items() if its == site]
            for observation_id in {number for _, number in of_site}:
                makers = [maker for maker, number in of_site if number == observation_id]
                self._look(makers, observation_id, site, sites[site])

    def _look(self, makers: Collection[int], observation_id: int | None, site: str, site_id: int) -> None:
        there = {self.origins.get(maker, maker): maker for maker in makers}
        paths: dict[str, int] = {}
        for part in chunks(sorted(there)):
            rows = self.session.execute(select(Image.path, Image.pid).where(Image.pid.in_(part)))
            paths |= {path: there[pid] for path, pid in rows if pid is not None}
            self.transfers |= {(there[pid], site): on_its_way for pid, on_its_way in self._on_their_way(part, site_id)}
        found = images.copies(self.session, paths.keys(), observation_id, site_id)
        lock(self.session, found.values())
        if found:  # looked at again: none of them goes now
            found = images.copies(self.session, found.keys(), observation_id, site_id)
        self.transfers |= {(paths[path], site): pid for path, pid in found.items()}

    def _on_their_way(self, makers: Collection[int], site_id: int) -> list[tuple[int, int]]:
        """(PID that made an image, PID of the transfer that brings it to a site), of those that are not ended."""
        pack, behind = aliased(ProcessDependence), aliased(ProcessDependence)
        query = (
            select(pack.parent_pid, Process.pid)
            .join(behind, behind.parent_pid == pack.child_pid)
            .join(Process, Process.pid == behind.child_pid)
            .where(
                pack.parent_pid.in_(makers),
                Process.command == TRANSFER.command,
                Process.site_id == site_id,
                Process.status.in_(UNFINISHED),
            )
        )
        return [(maker, pid) for maker, pid in self.session.execute(query.order_by(Process.pid))]

    def brings(self, process: NewProcess, maker: int) -> int:
        """PID of what brings an image to where a process opens it."""
        trip = (maker, str(process.site))
        if trip not in self.transfers:
            if maker not in self.packs:
                made = PackParameters(made=maker)
                self.packs[maker] = self._add(process, PACK.command, made.model_dump_json(), maker, None)
            packed = TransferParameters(packed=self.packs[maker])
            self.transfers[trip] = self._add(
                process, TRANSFER.command, packed.model_dump_json(), self.packs[maker], process.site
            )
        return self.transfers[trip]

    def _add(self, behind: NewProcess, command: str, parameters: str, needs: int, site: str | None) -> int:
        pid = next(self.pids)
        self.added.append(
            NewProcess(
                pid=pid,
                graph_pid=behind.graph_pid,
                command=command,
                parameters=parameters,
                group=self.deployment.group_of(command),
                observation_id=behind.observation_id,
                required=(needs,),
                priority=behind.priority,
                max_attempts=behind.max_attempts,
                site=site,
            )
        )
        return pid
