"""Settings: ``tianyu.toml`` in the working directory (or ``TIANYU_CONFIG``), then ``TIANYU_…`` environment variables.

Unknown keys are refused in the file and among the variables, so that a typo is an error and not a default.
"""

import json
import os
import re
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, SecretStr, ValidationError, field_validator
from pydantic_settings import (
    BaseSettings,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    TomlConfigSettingsSource,
)

from services.errors import ConfigurationError

PREFIX = "TIANYU_"
CONFIG_VARIABLE = "TIANYU_CONFIG"
# Variables that belong to the surroundings (tests, compose files), not to the settings.
NOT_SETTINGS = ("TIANYU_TEST_", CONFIG_VARIABLE)
NAME_PATTERN = r"^[A-Za-z0-9][A-Za-z0-9_-]{0,31}$"  # names of sites and groups become parts of queue names

Name = Annotated[str, Field(pattern=NAME_PATTERN)]

_NUMBER = r"[+-]?\d{1,9}(?:\.\d{0,12})?"
_SIXTIETHS = r":\d{1,2}:\d{1,2}(?:\.\d{0,12})?"
HOUR_DEG = 15.0
STAR_FORMS = {
    "source": re.compile(r"\d{1,12}", re.ASCII),
    "pixels": re.compile(rf"({_NUMBER}),({_NUMBER})", re.ASCII),
    "degrees": re.compile(rf"({_NUMBER})d,({_NUMBER})d", re.ASCII),
    "sexagesimal": re.compile(rf"(\d{{1,2}}{_SIXTIETHS}),([+-]?\d{{1,2}}{_SIXTIETHS})", re.ASCII),
}


def _star(text: str) -> str:
    if not any(form.fullmatch(text) for form in STAR_FORMS.values()):
        raise ValueError(
            f"{text!r} names no star: expected pixels of the first frame (424.5,286), right ascension and declination "
            "(02:04:10.3,+46:41:16 or 31.043d,46.688d) or a source id (17)"
        )
    return text


def _place(text: str) -> str:
    if not any(STAR_FORMS[form].fullmatch(text) for form in ("degrees", "sexagesimal")):
        raise ValueError(f"{text!r} is no place on the sky: expected 02:04:10.3,+46:41:16 or 31.043d,46.688d")
    return text


def place_on_sky(text: str) -> tuple[float, float]:
    """Right ascension (0 to 360) and declination, degrees, of ``02:04:10.3,+46:41:16`` or ``31.043d,46.688d``."""
    if degrees := STAR_FORMS["degrees"].fullmatch(text):
        return float(degrees[1]) % 360.0, float(degrees[2])
    found = STAR_FORMS["sexagesimal"].fullmatch(text)
    assert found is not None, "the text was validated"
    ra, dec = (
        sum(float(part) / 60.0**power for power, part in enumerate(angle.lstrip("+-").split(":")))
        for angle in found.groups()
    )
    return ra * HOUR_DEG % 360.0, -dec if found[2].startswith("-") else dec


StarName = Annotated[str, AfterValidator(_star)]
SkyPlace = Annotated[str, AfterValidator(_place)]
Magnitudes = Annotated[float, Field(gt=0)]


class Settings(BaseSettings):
    """Everything an operator may set; units are in the names."""

    model_config = SettingsConfigDict(env_prefix=PREFIX, extra="forbid", frozen=True)

    database_url: SecretStr = SecretStr("sqlite:///tianyu.db")
    broker_url: SecretStr = SecretStr("local://")
    site: Name = "local"
    root: Path = Path("tianyu-data")
    index_dir: Path | None = None
    log_format: Literal["text", "json"] = "text"
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "INFO"

    # Groups by command; everything else goes to `cpu`.
    default_group: Name = "cpu"
    groups: dict[str, Name] = {}

    # Process engine.
    lease_s: Annotated[float, Field(gt=0)] = 60.0
    sweep_s: Annotated[float, Field(gt=0)] = 2.0
    resend_after_s: Annotated[float, Field(gt=0)] = 30.0
    max_attempts: Annotated[int, Field(ge=1)] = 3
    backoff_s: Annotated[float, Field(ge=0)] = 2.0
    backoff_max_s: Annotated[float, Field(ge=0)] = 300.0
    queue_window: Annotated[int, Field(ge=1)] = 200  # messages of one queue at a time; the rest waits by priority
    # Limits of one attempt, by command; `default` holds for all that are not named.
    time_limit_s: dict[str, Annotated[float, Field(gt=0)]] = {"default": 3600.0}
    memory_limit_bytes: dict[str, Annotated[int, Field(gt=0)]] = {}
    poison_attempts: Annotated[int, Field(ge=1)] = 2  # a process that ended its worker so often is not tried again

    # What `tianyu gc` leaves.
    keep_calibrated: bool = True
    keep_partial: bool = False

    # Photometry.
    fan_out: Annotated[int, Field(ge=3)] = 5
    flat_method: Literal["mode", "clipped_mean"] = "clipped_mean"
    relative_methods: tuple[Literal["ensemble", "paper", "manual"], ...] = ("ensemble", "paper")
    detrend_method: Literal["none", "sysrem", "tfa", "trends"] = "none"
    detection_threshold: Annotated[float, Field(gt=0)] = 5.0
    # Pixels, negative ones multiples of each frame's FWHM; None: multiples of the observation's FWHM.
    aperture_radii: tuple[Annotated[float, Field(allow_inf_nan=False)], ...] | None = None
    aperture_sky: Literal["annulus", "global"] = "annulus"
    kron: bool = False  # a Kron flux besides, as the last aperture
    gain: Annotated[float, Field(gt=0)] | None = None  # electrons per ADU, where headers do not tell
    read_noise: Annotated[float, Field(ge=0)] | None = None  # electrons, where headers do not tell
    saturation: Annotated[float, Field(gt=0)] | None = None  # ADU, where headers do not tell
    linearity: Annotated[float, Field(gt=0)] | None = None  # ADU, where headers do not tell
    telescope_diameter_m: Annotated[float, Field(gt=0)] | None = None  # where headers do not tell

    # The sky: plate solving and the catalogue of stars.
    solve_radec: SkyPlace | None = None  # where the telescope pointed, where headers do not tell or lie
    solve_radius_deg: Annotated[float, Field(gt=0, le=180)] = 3.0  # how far from there the field may be
    pixel_scale_arcsec: Annotated[float, Field(gt=0)] | None = None  # where headers do not tell or lie
    solve_time_s: Annotated[float, Field(gt=0)] = 15.0  # of the search that measuring does not wait for
    catalog: Literal["gaia", "none"] = "gaia"  # Gaia DR3's archive, through the cache
    catalog_file: Path | None = None  # a table with Gaia's column names, instead of the archive
    catalog_dir: Path | None = None  # the cache; None: `catalog` under the root
    catalog_mag_limit: float = 18.0  # G of the faintest stars that are asked for
    catalog_url: str = "https://gea.esac.esa.int/tap-server/tap"  # of the archive, or of a mirror with its tables
    catalog_timeout_s: Annotated[float, Field(gt=0)] = 30.0

    # Stars of the method `manual`: pixels of the first frame "x,y", sky "hh:mm:ss.s,+dd:mm:ss" or "12.3d,-4.5d", or a
    # source id.
    manual_targets: tuple[StarName, ...] = ()
    manual_references: tuple[StarName, ...] = ()
    manual_checks: tuple[StarName, ...] = ()
    manual_match_px: Annotated[float, Field(gt=0)] = 5.0  # between a named position and its source
    manual_match_arcsec: Annotated[float, Field(gt=0)] = 5.0
    # What it picks where nothing is named.
    pick_error_max: Magnitudes = 0.02
    pick_missing_max: Annotated[float, Field(ge=0, lt=1)] = 0.2  # of the good frames
    pick_references: Annotated[int, Field(ge=1)] = 20
    pick_scatter_max: Magnitudes = 0.05
    pick_range_max: Magnitudes = 0.1
    pick_target_scatter_min: Magnitudes = 0.05
    pick_target_radius: Annotated[float, Field(gt=0)] = 0.5  # from the field's middle, of half its width and height

    @field_validator("aperture_radii")
    @classmethod
    def _radii(cls, value: tuple[float, ...] | None) -> tuple[float, ...] | None:
        if value is not None and (not value or 0.0 in value or len(set(value)) != len(value)):
            raise ValueError("give at least one radius, none of them zero and each once")
        return value

    @field_validator("relative_methods")
    @classmethod
    def _at_least_one(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        if not value or len(set(value)) != len(value):
            raise ValueError("name each method once, and at least one; the first is the one that the views show")
        return value

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        path = Path(os.environ.get(CONFIG_VARIABLE, "tianyu.toml"))
        return init_settings, env_settings, TomlConfigSettingsSource(settings_cls, toml_file=path)

    def group_of(self, command: str) -> str:
        """The group that runs ``command``."""
        return self.groups.get(command, self.default_group)

    def all_groups(self) -> list[str]:
        """Every group that the settings name, the default first."""
        return list(dict.fromkeys([self.default_group, *self.groups.values()]))


def as_environment(settings: Settings) -> dict[str, str]:
    """Variables from which another process reads what was set here; what was left to its default stays out."""
    variables = {}
    for name in sorted(settings.model_fields_set):
        value = getattr(settings, name)
        if isinstance(value, SecretStr):
            value = value.get_secret_value()
        if value is not None:
            variables[PREFIX + name.upper()] = str(value) if isinstance(value, str | Path) else json.dumps(value)
    return variables


def load(**overrides: Any) -> Settings:
    """Read the settings.

    Raises:
        ConfigurationError: a key is unknown or a value is wrong; the message names each one.
    """
    known = {f"{PREFIX}{name.upper()}" for name in Settings.model_fields}
    strange = sorted(
        n for n in os.environ if n.startswith(PREFIX) and n not in known and not n.startswith(NOT_SETTINGS)
    )
    if strange:
        raise ConfigurationError(
            f"environment variables {', '.join(strange)} are not settings of Tianyu: "
            "unset them or correct their names (docs/reference/settings.md lists all)"
        )
    config = os.environ.get(CONFIG_VARIABLE)
    if config and not Path(config).is_file():
        raise ConfigurationError(f"{CONFIG_VARIABLE} names {config!r}, which is no file: correct the path or unset it")
    try:
        return Settings(**overrides)
    except ValidationError as error:
        # The values themselves are left out: they may hold passwords.
        lines = [f"{'.'.join(str(part) for part in e['loc']) or 'settings'}: {e['msg']}" for e in error.errors()]
        raise ConfigurationError("settings are wrong: " + "; ".join(lines)) from None
    except ValueError as error:  # a TOML file that cannot be parsed
        raise ConfigurationError(f"settings cannot be read: {error}") from error
