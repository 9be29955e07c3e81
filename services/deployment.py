"""Deployment: where and how this program runs. Nothing here can change a number of a result."""

from pathlib import Path
from typing import Annotated, Literal, Self
from urllib.parse import urlsplit

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    SecretStr,
    field_validator,
    model_validator,
)

from services.frame_bounds import FrameBounds
from services.whole_numbers import whole_number

NAME_PATTERN = r"^[A-Za-z0-9][A-Za-z0-9_-]{0,31}$"  # names of sites and groups become parts of queue names

DAY_S = 86_400.0  # longest of most times: what is longer is a slip, and clocks of databases end

Name = Annotated[str, Field(pattern=NAME_PATTERN)]


LOOPBACK = "127.0.0.1"
OWN_MACHINE = (LOOPBACK, "localhost", "::1")
WEB = ("http", "https")
PORT_MOST = 65_535


def listen_address(text: str) -> tuple[str, int]:
    """Host and port of `HOST:PORT`, or of a port alone, which is for programs of this machine.

    Raises:
        ValueError: it is neither.
    """
    host, _, port = text.rpartition(":")
    number = whole_number(port, PORT_MOST)
    if not number:
        raise ValueError(f"{text!r} is neither a port from 1 to {PORT_MOST} nor HOST:PORT")
    return host.removeprefix("[").removesuffix("]") or LOOPBACK, number


def _listens(text: str) -> str:
    listen_address(text)
    return text


Listen = Annotated[str, BeforeValidator(str), AfterValidator(_listens)]


ALPACA_DEVICE = r"^[A-Za-z0-9_.:\[\]-]{1,255}/\d{1,9}$"  # HOST:PORT/NUMBER
Device = Annotated[str, Field(pattern=ALPACA_DEVICE)]
CAPTURE, TELESCOPE_GROUP = "capture", "telescope"  # the command that takes exposures, and its group


class TelescopeDeployment(BaseModel):
    """A telescope that takes exposures: its devices by ASCOM Alpaca, each ``HOST:PORT/NUMBER``, and where it stands."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    camera: Device
    mount: Device | None = None  # None: it stands still, or somebody else points it
    filter_wheel: Device | None = None
    instrument: Annotated[str, Field(min_length=1, max_length=64)]  # the camera's name, in headers and in the database
    name: Annotated[str, Field(max_length=64)] = ""  # of the telescope
    latitude_deg: Annotated[float, Field(ge=-90, le=90)]
    longitude_deg: Annotated[float, Field(ge=-180, le=180)]  # east positive
    elevation_m: Annotated[float, Field(ge=-500, le=9000)] = 0.0
    diameter_m: Annotated[float, Field(gt=0, le=15)] | None = None
    pixel_scale_arcsec: Annotated[float, Field(gt=0, le=36_000)] | None = None  # of pixels that are not binned
    raw_dir: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]{0,63}$")] = "raw"  # under the root
    settle_s: Annotated[float, Field(ge=0, le=600)] = 2.0  # after the telescope was slewed
    slew_timeout_s: Annotated[float, Field(gt=0, le=3600)] = 300.0
    wheel_timeout_s: Annotated[float, Field(gt=0, le=3600)] = 60.0
    readout_timeout_s: Annotated[float, Field(gt=0, le=3600)] = 120.0  # from the end of the exposure to the last pixel


class OtherSite(BaseModel):
    """Where another site offers its packed images, and how it is asked."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    url: str  # of its root
    user: str | None = None  # its password is in the file; None: the file holds a token, or there is none
    secret_file: Path | None = None
    ca_file: Path | None = None  # of authorities that it is believed by; None: those of this system
    silent_s: Annotated[float, Field(gt=0, le=DAY_S)] = 60.0  # a link that brings nothing for so long is cut

    @field_validator("url")
    @classmethod
    def _holds_no_secret(cls, url: str) -> str:
        parts = urlsplit(url)
        if not parts.scheme:
            raise ValueError("expected an address as https://HOST/PATH, file:///PATH or s3://BUCKET/PATH")
        if parts.password is not None or parts.query or parts.fragment:
            raise ValueError("an address holds no password, ? or #: a secret stands in a file (secret_file)")
        if parts.scheme in WEB and not parts.hostname:
            raise ValueError("the address names no host: expected https://HOST/PATH")
        if parts.scheme in WEB and parts.username is not None:
            raise ValueError("a user stands in `user`, not in the address")
        return url

    @model_validator(mode="after")
    def _is_whole(self) -> Self:
        if self.user is not None and self.secret_file is None:
            raise ValueError("a user needs a password, in a file (secret_file)")
        if urlsplit(self.url).scheme not in WEB and (self.secret_file or self.ca_file) is not None:
            raise ValueError("secret_file and ca_file are for http and https: other ways have their own")
        return self


Days = Annotated[float, Field(ge=0, le=36_525)]


class Retention(BaseModel):
    """How many days what nobody needs is kept; what is not set is kept for good."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    calibrated_days: Days | None = None  # calibrated images of observations of which nothing is at work
    partial_days: Days | None = None  # partial stacks and single flats
    replaced_images_days: Days | None = None  # all images of graphs that a later one has replaced
    leftover_days: Days | None = None  # files of killed attempts, and such that no row names
    replaced_rows_days: Days | None = None  # rows that were replaced, but of the newest `keep_graphs`
    attempts_days: Days | None = None  # attempts of processes that succeeded: worker, cost, errors before
    every_h: Annotated[float, Field(gt=0, le=720)] = 24.0  # how often the active manager looks

    @property
    def of_images(self) -> dict[str, float | None]:
        """Days by rule, of what is on the disk."""
        return {name: days for name, days in self.model_dump().items() if name in IMAGE_RULES}


IMAGE_RULES = ("calibrated_days", "partial_days", "replaced_images_days", "leftover_days")


class Deployment(BaseModel):
    """What each machine sets for itself; units are in the names."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    database_url: SecretStr = SecretStr("sqlite:///tianyu.db")
    broker_url: SecretStr = SecretStr("local://")
    # Whether the connection to the database is encrypted, and the server's certificate looked at.
    database_tls: Literal["auto", "verify", "off"] = "auto"
    tls_ca_file: Path | None = None  # of authorities that database and broker are believed by
    tls_cert_file: Path | None = None  # what this program shows of itself, and its key
    tls_key_file: Path | None = None
    site: Name = "local"
    root: Path = Path("tianyu-data")
    # Consumers take no work while the root's disk has less: the images in hand still find room.
    min_free_bytes: Annotated[int, Field(ge=0, le=2**60)] = 500_000_000
    index_dir: Path | None = None
    log_format: Literal["text", "json"] = "text"
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "INFO"
    metrics_listen: Listen | None = None  # where a manager or consumer answers Prometheus
    traces: bool = False  # whether publications and attempts are told to OpenTelemetry (variables OTEL_…)

    serve_token: SecretStr | None = None  # what browsers must show to `tianyu serve`
    review_database_url: SecretStr | None = None  # by which `tianyu serve` writes verdicts; None: it takes none

    # Groups by command; everything else goes to `cpu`.
    default_group: Name = "cpu"
    groups: dict[str, Name] = {}

    telescope: TelescopeDeployment | None = None  # None: no exposures are taken

    # Steps that run at another site than the frames, and how other sites offer what they pack for this one.
    placement: dict[str, Name] = {}
    sites: dict[Name, OtherSite] = {}

    # Process engine.
    lease_s: Annotated[float, Field(gt=0, le=DAY_S)] = 60.0
    sweep_s: Annotated[float, Field(gt=0, le=DAY_S)] = 2.0
    resend_after_s: Annotated[float, Field(gt=0, le=DAY_S)] = 30.0
    max_attempts: Annotated[int, Field(ge=1, le=1000)] = 3
    backoff_s: Annotated[float, Field(ge=0, le=DAY_S)] = 2.0
    backoff_max_s: Annotated[float, Field(ge=0, le=30 * DAY_S)] = 300.0
    # The surroundings (disk, database) are waited for: so long at most from one attempt to the next.
    surroundings_backoff_max_s: Annotated[float, Field(ge=0, le=DAY_S)] = 300.0
    # A second attempt is offered beside one that takes so many times what is usual, and so long at least; 0: none is.
    straggler_factor: Annotated[float, Field(ge=0, le=10_000)] = 4.0
    straggler_after_s: Annotated[float, Field(ge=0, le=DAY_S)] = 2.0
    # Messages of one queue at a time; the rest waits by priority.
    queue_window: Annotated[int, Field(ge=1, le=1_000_000)] = 200
    # Limits of one attempt, by command; `default` holds for all that are not named.
    time_limit_s: dict[str, Annotated[float, Field(gt=0, le=30 * DAY_S)]] = {"default": 3600.0}
    memory_limit_bytes: dict[str, Annotated[int, Field(gt=0, le=2**50)]] = {}
    # A process that ended its worker so often is not tried again.
    poison_attempts: Annotated[int, Field(ge=1, le=1000)] = 2

    # Of fluxes in a partition, on MySQL and MariaDB.
    rows_per_range: Annotated[int, Field(ge=1, le=10**9)] = 20_000_000

    # The largest frames that are opened: no file may ask for more.
    max_header_bytes: Annotated[int, Field(ge=2880, le=10**9)] = FrameBounds.header_bytes
    max_frame_pixels: Annotated[int, Field(ge=1, le=10**11)] = FrameBounds.pixels

    # What `tianyu gc` leaves.
    keep_calibrated: bool = True
    keep_partial: bool = False
    # What `tianyu gc --rows` leaves of what was replaced.
    keep_graphs: Annotated[int, Field(ge=0, le=1000)] = 1
    keep_rows_days: Days = 30.0
    # What goes by itself, and when; None: nothing does.
    retention: Retention | None = None

    # The catalogue of stars.
    catalog_dir: Path | None = None  # the cache; None: `catalog` under the root
    catalog_url: str = "https://gea.esac.esa.int/tap-server/tap"  # of the archive, or of a mirror with its tables
    catalog_timeout_s: Annotated[float, Field(gt=0, le=DAY_S)] = 30.0

    # Who is told of candidates of a live night.
    alert_url: SecretStr | None = None  # an address may hold a secret
    alert_token: SecretStr | None = None
    alert_timeout_s: Annotated[float, Field(gt=0, le=DAY_S)] = 10.0
    alert_false_alarm: Annotated[float, Field(gt=0, le=1)] = 0.001

    @model_validator(mode="after")
    def _telescope_alone(self) -> "Deployment":
        others = {self.default_group, *(group for command, group in self.groups.items() if command != CAPTURE)}
        if self.telescope_group in others:
            raise ValueError(f"group {self.telescope_group!r} takes exposures, and no other work: name another one")
        return self

    @property
    def frame_bounds(self) -> FrameBounds:
        """The largest frames that are opened."""
        return FrameBounds(self.max_header_bytes, self.max_frame_pixels)

    def site_of(self, command: str) -> str:
        """The site at which processes of ``command`` run whose frames are at this one."""
        return self.placement.get(command, self.site)

    def time_limit_of(self, command: str) -> float | None:
        """Seconds that an attempt at ``command`` may take; None: there is no limit."""
        return self.time_limit_s.get(command, self.time_limit_s.get("default"))

    def group_of(self, command: str) -> str:
        """The group that runs ``command``."""
        own = TELESCOPE_GROUP if command == CAPTURE else self.default_group
        return self.groups.get(command, own)

    @property
    def telescope_group(self) -> str:
        """The group that takes exposures: one telescope, and so one consumer of one worker."""
        return self.group_of(CAPTURE)

    def computer_groups(self) -> list[str]:
        """All of them but the telescope's."""
        return [group for group in self.all_groups() if group != self.telescope_group]

    def all_groups(self) -> list[str]:
        """Every group that the settings name, the default first."""
        of_telescope = [] if self.telescope is None else [self.telescope_group]
        return list(dict.fromkeys([self.default_group, *self.groups.values(), *of_telescope]))
