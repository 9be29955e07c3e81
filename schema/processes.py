"""Who does what: sites, groups, processes, their dependencies, attempts and leases."""

from sqlalchemy import BigInteger, CheckConstraint, ForeignKey, Index, String, Text
from sqlalchemy.orm import Mapped, mapped_column

from schema.base import TABLE_OPTIONS, Base, LongText, Pid, Real, Small, Utc

WAITING, QUEUED, RUNNING = "waiting", "queued", "running"
SUCCEEDED, FAILED, SKIPPED, CANCELLED = "succeeded", "failed", "skipped", "cancelled"
UNFINISHED = (WAITING, QUEUED, RUNNING)
UNSUCCESSFUL = (FAILED, SKIPPED, CANCELLED)
FINISHED = (SUCCEEDED, *UNSUCCESSFUL)
STATES = UNFINISHED + FINISHED
# Outcomes of an attempt besides succeeded, failed and cancelled: it ended its worker; its worker fell silent; another
# attempt at the same process ended it first.
KILLED, LOST, OUTRUN = "killed", "lost", "outrun"
CAPTURE = "capture"  # the command that takes exposures: an event, of which two attempts never go on side by side


class Site(Base):
    """Machines that share one file system; images lie under its root folder."""

    __tablename__ = "site"
    site_id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(String(64), unique=True)
    root: Mapped[str] = mapped_column(Text)


class ProcessGroup(Base):
    """Consumers that share a kind of hardware; one queue per (site, group)."""

    __tablename__ = "process_group"
    group_id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(String(64), unique=True)
    description: Mapped[str] = mapped_column(String(255), default="")


class PausedGroup(Base):
    """A queue whose work waits until an operator resumes it."""

    __tablename__ = "paused_group"
    site_id: Mapped[int] = mapped_column(ForeignKey("site.site_id"), primary_key=True, autoincrement=False)
    group_id: Mapped[int] = mapped_column(ForeignKey("process_group.group_id"), primary_key=True, autoincrement=False)
    paused_at: Mapped[Utc]


class QueueState(Base):
    """What the active manager saw of a queue at the broker, where it takes no messages or has put some aside."""

    __tablename__ = "queue_state"
    site_id: Mapped[int] = mapped_column(ForeignKey("site.site_id"), primary_key=True, autoincrement=False)
    group_id: Mapped[int] = mapped_column(ForeignKey("process_group.group_id"), primary_key=True, autoincrement=False)
    silent_since: Mapped[Utc | None]  # it has confirmed no message
    reason: Mapped[str | None] = mapped_column(Text)
    dead_letters: Mapped[int]


class Service(Base):
    """A manager or consumer that runs, as far as the database knows: it says so again before ``alive_until``."""

    __tablename__ = "service"
    name: Mapped[str] = mapped_column(String(128), primary_key=True)  # kind:host:process id:random
    kind: Mapped[str] = mapped_column(String(16))  # manager, consumer
    state: Mapped[str] = mapped_column(String(16))  # active, standby, holding
    host: Mapped[str] = mapped_column(String(128))
    version: Mapped[str] = mapped_column(String(32))
    revision: Mapped[str | None] = mapped_column(String(32))  # of the schema that it was written for; NULL: before 0025
    site_id: Mapped[int | None] = mapped_column(ForeignKey("site.site_id"))  # of a consumer
    group_names: Mapped[str] = mapped_column(Text)  # that a consumer works for: a JSON list
    slots: Mapped[int]
    started_at: Mapped[Utc]
    alive_until: Mapped[Utc]
    trouble: Mapped[str | None] = mapped_column(Text)  # what hinders it, or did last
    trouble_since: Mapped[Utc | None]
    trouble_until: Mapped[Utc | None]  # NULL: it lasts


class Leader(Base):
    """The manager that is active on a database server: one row, changed by whoever takes over and nobody else.

    It leads as long as its connection lives, which holds the lock of this name (`schema.queries.leading`).
    """

    __tablename__ = "leader"
    leader_id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    term: Mapped[int] = mapped_column(BigInteger)  # one more with each that took over
    lock_name: Mapped[str] = mapped_column(String(64))
    connection_id: Mapped[int] = mapped_column(BigInteger)
    host: Mapped[str] = mapped_column(String(128))
    since: Mapped[Utc]


class PublishedChoices(Base):
    """What an operator chose when graphs were published, and the Tianyu that published them; never changed, shared."""

    __tablename__ = "published_choices"
    choices_id: Mapped[int] = mapped_column(primary_key=True)
    digest: Mapped[str] = mapped_column(String(64), unique=True)  # of what follows
    version: Mapped[str] = mapped_column(String(32))
    choices: Mapped[str] = mapped_column(LongText)  # all of them: canonical JSON


class Process(Base):
    """One unit of work: a command with parameters, for one site and group."""

    __tablename__ = "process"
    __table_args__ = (
        CheckConstraint(f"status IN {STATES}", name="status"),
        # Exactly the order in which one queue's ready processes are taken: any filesort would lock rows of others.
        Index("ix_process_ready", "status", "pending", "site_id", "group_id", "priority", "pid"),
        Index(None, "propagated", "status", "pid"),
        Index(None, "observation_id", "command", "status"),
        Index(None, "graph_pid"),
        Index(None, "result_key"),
        TABLE_OPTIONS,
    )
    pid: Mapped[Pid] = mapped_column(primary_key=True, autoincrement=False)
    graph_pid: Mapped[Pid] = mapped_column(BigInteger)
    origin_pid: Mapped[Pid | None] = mapped_column(BigInteger)  # whose outputs it took over, when a graph was made anew
    command: Mapped[str] = mapped_column(String(32))
    parameters: Mapped[str] = mapped_column(LongText)
    # NULL: published before choices were stored. No foreign key, whose index each new process would pay for.
    choices_id: Mapped[int | None]
    generation: Mapped[Small] = mapped_column(default=0, server_default="0")  # raised where people want it anew
    result_key: Mapped[str | None] = mapped_column(String(64))  # of all that decides its result; NULL: not known
    site_id: Mapped[int] = mapped_column(ForeignKey("site.site_id"))
    group_id: Mapped[int] = mapped_column(ForeignKey("process_group.group_id"))
    observation_id: Mapped[int | None] = mapped_column(ForeignKey("observation.observation_id"))
    status: Mapped[str] = mapped_column(String(9), default=WAITING)
    priority: Mapped[int] = mapped_column(default=0)  # smaller runs first, as Unix's nice
    pending: Mapped[int] = mapped_column(default=0)  # dependencies that are not finished
    propagated: Mapped[bool] = mapped_column(default=False)  # its end has been counted by its children
    attempt: Mapped[Small] = mapped_column(default=0)  # the newest; of what succeeded the one that did
    max_attempts: Mapped[Small] = mapped_column(default=3)
    slow_attempt: Mapped[Small | None]  # an earlier one that may still succeed: another was offered beside it
    slow_consumer: Mapped[str | None] = mapped_column(String(128))  # which has the slow one, and is not given the other
    not_before: Mapped[Utc | None]
    sent_at: Mapped[Utc | None]  # when its message was confirmed by the broker
    created_at: Mapped[Utc]
    finished_at: Mapped[Utc | None]
    error_class: Mapped[str | None] = mapped_column(String(16))
    error: Mapped[str | None] = mapped_column(Text)


class ReadKey(Base):
    """Of all that a process read, known when it was claimed: who makes the result, or made it. One at a time does."""

    __tablename__ = "read_key"
    read_key: Mapped[str] = mapped_column(String(64), primary_key=True)
    pid: Mapped[Pid] = mapped_column(BigInteger)


class UnwantedRows(Base):
    """Measurements that are still to be removed: the processes that made them are gone (`schema.queries.pruning`).

    Those of one process, or where ``pid`` is 0 all fluxes of the graph's images.
    """

    __tablename__ = "unwanted_rows"
    graph_pid: Mapped[Pid] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    pid: Mapped[Pid] = mapped_column(BigInteger, primary_key=True, autoincrement=False)


class ProcessDependence(Base):
    """``child_pid`` needs ``parent_pid``: required (it must succeed) or optional (it must only be finished)."""

    __tablename__ = "process_dependence"
    __table_args__ = (Index(None, "child_pid"), TABLE_OPTIONS)
    parent_pid: Mapped[Pid] = mapped_column(ForeignKey("process.pid"), primary_key=True, autoincrement=False)
    child_pid: Mapped[Pid] = mapped_column(ForeignKey("process.pid"), primary_key=True, autoincrement=False)
    required: Mapped[bool]


class ProcessAttempt(Base):
    """History: one row for each time that a worker took a process."""

    __tablename__ = "process_attempt"
    pid: Mapped[Pid] = mapped_column(ForeignKey("process.pid"), primary_key=True, autoincrement=False)
    attempt: Mapped[Small] = mapped_column(primary_key=True, autoincrement=False)
    worker: Mapped[str] = mapped_column(String(128))
    host: Mapped[str] = mapped_column(String(128))
    version: Mapped[str] = mapped_column(String(32))
    started_at: Mapped[Utc]
    finished_at: Mapped[Utc | None]
    outcome: Mapped[str | None] = mapped_column(String(16))  # succeeded, failed, killed, lost, outrun, cancelled
    seconds: Mapped[Real | None]
    cpu_seconds: Mapped[Real | None]
    max_rss_bytes: Mapped[int | None] = mapped_column(BigInteger)
    read_bytes: Mapped[int | None] = mapped_column(BigInteger)
    write_bytes: Mapped[int | None] = mapped_column(BigInteger)
    error_class: Mapped[str | None] = mapped_column(String(16))
    error: Mapped[str | None] = mapped_column(Text)
    traceback: Mapped[str | None] = mapped_column(Text)


class Lease(Base):
    """A worker's claim on a running process; a table of its own so that renewing never waits for a finishing row."""

    __tablename__ = "lease"
    __table_args__ = (Index(None, "lease_until"), TABLE_OPTIONS)
    pid: Mapped[Pid] = mapped_column(ForeignKey("process.pid"), primary_key=True, autoincrement=False)
    attempt: Mapped[Small] = mapped_column(primary_key=True, autoincrement=False)
    worker: Mapped[str] = mapped_column(String(128))
    lease_until: Mapped[Utc]
