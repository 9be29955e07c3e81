"""Publish an observation: its graph, and those of the calibration observations that it needs, in one transaction."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import NamedTuple

from sqlalchemy import select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from schema.observing import LIGHT, Observation, Target
from schema.queries import adopting, capturing, choices, publishing
from schema.queries.frames import ids_of_camera
from services.engine.presence import VERSION
from services.engine.publisher.changed_choices import changes
from services.engine.publisher.cycles import no_search_for_cycles
from services.engine.publisher.former import Former, LaidOut, formers
from services.engine.publisher.frame_digests import digests_of
from services.engine.publisher.given_reference import given_reference
from services.engine.publisher.graph import Graph, methods_of
from services.engine.publisher.keys import frames_told, keys_of, needed
from services.engine.publisher.master_choice import choose
from services.engine.publisher.publication import Masters, Publication
from services.engine.publisher.serving_masters import serving
from services.engine.publisher.settling import Settled, settle
from services.engine.publisher.stopped import require_alone
from services.engine.publisher.taking_over import lost_keys, take_over
from services.engine.publisher.target_choices import choices_of
from services.engine.publisher.templates import (
    Template,
    add_template,
    of_another_night,
    require_known,
    template_was_deleted,
    templates,
    warning,
)
from services.engine.publisher.travelling import bring_images
from services.engine.tracing.traced import trace_publication
from services.errors import ConfigurationError
from services.own_site import no_observation, require_own
from services.settings import Settings
from services.steps import asked_for, masters_of, steps_of
from services.steps.shared.step import AnyStep
from services.steps.shared.told import digest


class Asked(NamedTuple):
    """What is asked of a publication; see `Publisher.publish`."""

    again: bool = False
    known: bool = False
    new_template: bool = False


class Publisher:
    """Builds the graphs of one call; the caller owns the transaction and decides whether it is committed."""

    def __init__(self, session: Session, settings: Settings, priority: int = 0) -> None:
        self._session, self._settings, self._priority = session, settings, priority
        self._last_pid = 0
        self._settled: dict[int, tuple[Graph, Settled]] = {}  # by observation
        self._adopted: dict[int, str] = {}  # keys of what stands for another night's processes

    @no_search_for_cycles()
    def publish(
        self,
        observation_id: int,
        *,
        again: bool = False,
        known: bool = False,
        new_template: bool = False,
        only: bool = False,
    ) -> Publication:
        """Insert what is missing of the observation's processes and dependencies, up to the step that is asked for.

        Frames that came after a template was made are measured on that. With ``known`` that of another night serves
        where there is none yet; with ``new_template`` one is made of all frames; with ``again`` all is made anew. With
        ``only`` nothing but the last step may run.

        Raises:
            ConfigurationError: there is no such observation or step, it has no usable frames, there is no known
                template, or one of its own, or with ``only`` what the step goes by is not there.
        """
        observation = self.observation(observation_id)
        publication = Publication(observation_id, choices_of(self._session, observation, self._settings))
        former, kind = observation.graph_pid, self.kind(observation)
        if known:
            require_known(self._session, observation, kind, again)
        if not asked_for(steps_of(kind), publication.choices):
            self.frames(observation, kind)
            self.masters(observation, kind, publication)
        else:
            graph, settled = self._settle(observation, publication, Asked(again, known, new_template))
            publication.graph_pid, publication.says = settled.graph_pid, settled.says
            if settled.processes:
                self.say_changes(publication, former)
                if settled.template is not None:
                    publication.of_template = settled.template.says(observation_id, len(graph.later_frames))
                    publication.notes.insert(0, publication.of_template)
        if only:
            require_alone(publication)
        self.insert(publication)
        return publication

    def frames(self, observation: Observation, kind: str, *, former: bool = False) -> list[int]:
        """Numbers of frames that can be used or are to come; with ``former`` of those that processes refused too."""
        number = observation.observation_id
        frames = ids_of_camera(self._session, number, kind, refused=former)
        frames += capturing.to_come(self._session, number, missed=former)
        if not frames:
            raise ConfigurationError(
                f"observation {observation.observation_id} has no usable {kind} frame: "
                "view frame has the reasons (reason); add frames and ingest again"
            )
        return frames

    def insert(self, publication: Publication, taken_over: Mapping[int, int] | None = None) -> None:
        """Insert the processes that were put together, and let them take over what was made before.

        ``taken_over``: ``old: new`` of those whose images and rows the caller takes over.

        Raises:
            ConfigurationError: the site or a group is not registered, or another publisher took the same PIDs.
        """
        if not publication.processes:
            return
        choices_id = choices.keep(self._session, VERSION, publication.choices.text())
        from_former = [(graph, one, one.former) for graph, one in self._settled.values() if one.former is not None]
        taken = [*(one.taken_over for _, one, _ in from_former), taken_over or {}]
        origins = {new: old for pids in taken for old, new in pids.items()}
        keys = lost_keys(self._session, origins, [former for _, _, former in from_former]) | self._adopted
        bring_images(self._session, self._settings, publication, origins)
        site, processes = self._settings.site, publication.processes
        try:
            publishing.publish(self._session, processes, site=site, choices_id=choices_id, origins=origins, keys=keys)
        except LookupError as error:
            raise ConfigurationError(str(error)) from error
        except IntegrityError as error:
            raise ConfigurationError(
                f"observation {publication.observation_id}: its PIDs collide with those of another publisher; "
                "publish it again"
            ) from error
        trace_publication(self._settings, self._session, processes, made=origins)
        for graph, one, former in from_former:
            if one.taken_over:
                take_over(self._session, graph, former.graph_pid, one.taken_over)

    def observation(self, observation_id: int) -> Observation:
        """The observation, locked, so that two publishers of one come one after the other.

        Raises:
            ConfigurationError: there is none, or it is another site's.
        """
        observation = self._session.scalar(
            select(Observation).where(Observation.observation_id == observation_id).with_for_update()
        )
        if observation is None:
            raise no_observation(observation_id)
        require_own(self._session, self._settings.site, observation)
        return observation

    def kind(self, observation: Observation) -> str:
        """What its frames are: bias, dark, flat or light."""
        return self._session.get_one(Target, observation.target_id).kind

    def _settle(self, observation: Observation, publication: Publication, asked: Asked) -> tuple[Graph, Settled]:
        """Add what is missing of one observation's graph, after its masters'."""
        number, kind = observation.observation_id, self.kind(observation)
        if number in self._settled:
            return self._settled[number]
        graph, settled = self.lay_out(observation, publication, asked)
        self._settled[number] = graph, settled
        if number == publication.observation_id:
            stands = {*settled.stands, *settled.taken_over.values()}
            publication.reused = Counter(process.command for process in graph.processes if process.pid in stands)
        if settled.processes:
            graph.processes = settled.processes
            publication.taken_over |= settled.taken_over
            self.include(graph, observation, kind, publication)
        elif kind != LIGHT:
            observation.graph_pid = settled.graph_pid
        return self._settled[number]

    def lay_out(self, observation: Observation, publication: Publication, asked: Asked) -> tuple[Graph, Settled]:
        """A graph of all frames, and what is to be published of it."""
        number, kind = observation.observation_id, self.kind(observation)
        frames = self.frames(observation, kind, former=not asked.again)
        masters = self.masters(observation, kind, publication)
        anew = steps_of(kind) if asked.again else ()

        def lay_out(template: Template | None = None) -> tuple[Graph, dict[int, int]]:
            graph = self.graph(observation, publication, masters, anew=anew)
            return graph, self._lay_out(graph, kind, frames, template)

        earlier = [] if asked.again else adopting.keyed(self._session, number)
        keeps, known = kind == LIGHT and earlier and not asked.new_template, asked.known
        kept = self._on_former_template(observation, publication, frames, earlier, lay_out, known) if keeps else None
        if kept is not None:
            return kept
        if known:
            template = of_another_night(self._session, observation)
            self.say_changes(publication, template.graph_pid)
            said = warning(observation, self._session.get_one(Observation, template.observation_id))
            publication.notes += [said] if said else []
            graph, adopted = lay_out(template)
            former = Former(template.graph_pid, {})
            return graph, Settled(graph.graph_pid, graph.processes, {}, adopted, former, template=template)
        graph, _ = lay_out()
        laid = LaidOut(graph.processes)
        found = settle(self._session, observation, graph, laid, kind, formers(self._session, earlier, laid))
        assert found is not None  # no frame is later than its template
        return graph, found

    def _on_former_template(
        self,
        observation: Observation,
        publication: Publication,
        frames: Sequence[int],
        keyed: Sequence[adopting.Keyed],
        lay_out: Callable[[Template], tuple[Graph, dict[int, int]]],
        known: bool,
    ) -> tuple[Graph, Settled] | None:
        """The newest template of an earlier graph that can be kept; ``known``: of another night's alone."""
        name, seen = f"observation {observation.observation_id}", set()
        given = publication.choices.reference_frame is not None  # which another night's is not
        for template in templates(self._session, observation.observation_id):
            unfit = template.frames if known else not template.frames and given
            if template.key in seen or not set(template.frames) <= set(frames) or unfit:
                continue
            seen.add(template.key)
            graph, _ = lay_out(template)
            laid = LaidOut(graph.processes)
            earlier = formers(self._session, keyed, laid)
            if any(former.has_template(laid) for former in earlier):
                settled = settle(self._session, observation, graph, laid, LIGHT, earlier)
                if settled is not None:
                    return graph, replace(settled, template=template if graph.later else None)
            if graph.later and len(seen) == 1:
                deleted = template_was_deleted(self._session, template.graph_pid)
                why = "was deleted by `tianyu gc`" if deleted else "is not of these choices and frames"
                publication.notes.append(f"{name}: the template of graph {template.graph_pid} {why}: a new one is made")
        return None

    def _lay_out(self, graph: Graph, kind: str, frames: Sequence[int], template: Template | None) -> dict[int, int]:
        """A whole graph, with keys; returns PIDs of what made another night's template, and of what stands for it."""
        adopted = {} if template is None or template.frames else add_template(graph, template)
        stacked = set(frames if template is None else template.frames)
        made_of = [frame for frame in frames if frame in stacked]
        graph.lay_out_on(steps_of(kind), made_of, frames, methods_of(graph.choices))
        keys = publishing.result_keys(self._session, adopted)
        # Those of graphs of earlier versions have no key; their template is known by its process.
        self._adopted = {new: keys.get(old) or digest({"process": old}) for old, new in adopted.items()}
        self.give_keys(graph, self._adopted)
        return adopted

    def give_keys(self, graph: Graph, instead: Mapping[int, str | None] | None = None) -> None:
        """Write into the processes of a graph the keys that are known; ``instead``: of some, which others gave them."""
        own = {process.pid for process in graph.processes}
        wanted = own - instead.keys() if instead else own
        outside = {pid for process in graph.processes if process.pid in wanted for pid in needed(process)} - own
        # Masters that are published by the same call are no rows yet.
        new = {p.pid: p.result_key for one, _ in self._settled.values() for p in one.processes if p.result_key}
        known: dict[int, str | None] = {**publishing.result_keys(self._session, outside), **new}
        known |= instead or {}
        digests = digests_of(self._session, {frame for process in graph.processes for frame in frames_told(process)})
        keys = keys_of(graph.processes, graph.choices, digests, known)
        graph.processes = [process._replace(result_key=keys.get(process.pid)) for process in graph.processes]

    def graph(
        self,
        observation: Observation,
        publication: Publication,
        masters: Masters,
        grown: int | None = None,
        anew: Sequence[AnyStep] = (),
    ) -> Graph:
        """A graph without processes, by the publication's choices, whose PIDs follow those given out before.

        ``anew``: steps whose results are wanted anew, whatever was made before.
        """
        pids, priority = publishing.new_pids(self._session, self._last_pid), self._priority
        grown = grown or capturing.graph_of_captures(self._session, observation.observation_id)
        graph = Graph(observation.observation_id, self._settings, publication.choices, pids, priority, grown=grown)
        graph.made.update({command: [pid] for command, pid in masters.items()})
        graph.given = given_reference(self._session, observation, publication, self._settings.root)
        generations = publishing.generations(self._session, observation.observation_id)
        graph.generations = generations | {step.command: generations.get(step.command, -1) + 1 for step in anew}
        return graph

    def say_changes(self, publication: Publication, graph_pid: int | None, command: str | None = None) -> None:
        """Note which choices differ from those of an earlier graph, or of its processes of one command."""
        stored = None if graph_pid is None else choices.of_graph(self._session, graph_pid, command)
        changed = changes(stored, publication.choices)
        if changed:
            said = f"observation {publication.observation_id}: other choices than of graph {graph_pid}: {changed}"
            publication.changes.append(said)
            publication.notes.append(said)

    def include(self, graph: Graph, observation: Observation, kind: str, publication: Publication) -> None:
        """Take a graph that was put together into the publication; from now on it is the observation's newest."""
        self._last_pid = graph.processes[-1].pid
        publication.processes += graph.processes
        if observation.graph_pid is None or kind != LIGHT:
            # The views go on showing a light curve's first graph until the new one has been calibrated.
            observation.graph_pid = graph.graph_pid

    def masters(self, observation: Observation, kind: str, publication: Publication) -> Masters:
        """Masters for frames of this kind; those that nobody has made are published with them, as far as asked for."""
        steps = [step for step in masters_of(kind) if asked_for(steps_of(step.kind), publication.choices)]
        found = {step.command: self._master(observation, step, publication) for step in steps}
        return {command: pid for command, pid in found.items() if pid is not None}

    def _master(self, observation: Observation, step: AnyStep, publication: Publication) -> int | None:
        """PID of the process that makes the master, publishing it when nobody has."""
        assert step.kind is not None
        name = f"observation {observation.observation_id}"
        choice = choose(self._session, observation, step.kind, self._settings)
        publication.notes += [f"{name}: {line}" for line in choice.says]
        if choice.lacks:
            publication.notes.append(f"{name}: {choice.lacks}, going on without")
        source = choice.source
        if source is None or choice.pid is not None:
            return choice.pid
        is_first, published = source.observation_id not in self._settled, source.graph_pid
        said = len(publication.notes)
        if is_first:  # two publishers who need the same masters come one after the other
            self._session.refresh(source, with_for_update=True)
        graph, settled = self._settle(source, publication, Asked())
        if not settled.processes:
            del publication.notes[said:]  # of what is not made
        elif is_first and published is not None:
            changed = changes(choices.of_graph(self._session, published), publication.choices, _reads(step))
            because = f" by other choices ({changed})" if changed else ""
            publication.notes.append(
                f"{name}: master {step.kind} of observation {source.observation_id} is made anew{because}"
            )
        if not graph.made[step.command]:  # it is not asked for, only what comes before it
            return None
        pid = settled.stands.get(laid_out := graph.made[step.command][-1], laid_out)
        pid, said_of_it = serving(self._session, pid, source, step, publication.observation_id)
        if said_of_it:
            publication.notes.append(f"{name}: {said_of_it}")
        return pid


def _reads(master: AnyStep) -> set[str]:
    """Choices by which a master is made."""
    return {name for step in steps_of(master.kind) for name in step.reads}
