"""Settings: ``tianyu.toml`` in the working directory (or ``TIANYU_CONFIG``), then ``TIANYU_…`` environment variables.

Unknown keys are refused in the file and among the variables, so that a typo is an error and not a default.
"""

import json
import os
from pathlib import Path
from typing import Any

from pydantic import SecretStr, ValidationError
from pydantic_core import to_jsonable_python
from pydantic_settings import (
    BaseSettings,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    TomlConfigSettingsSource,
)

from services.choices import GIVEN_MASTERS, Choices, absolute
from services.deployment import Deployment
from services.errors import ConfigurationError
from services.header_reading import Reading

PREFIX = "TIANYU_"
CONFIG_VARIABLE = "TIANYU_CONFIG"
# Variables that belong to the surroundings (tests, compose files), not to the settings.
NOT_SETTINGS = ("TIANYU_TEST_", CONFIG_VARIABLE)


class Settings(BaseSettings, Deployment, Reading, Choices):
    """Everything an operator may set: where and how this program runs, how headers are read, what is chosen next."""

    model_config = SettingsConfigDict(env_prefix=PREFIX, extra="forbid", frozen=True)

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

    @property
    def deployment(self) -> Deployment:
        """Those that cannot change a number."""
        return Deployment.model_validate({name: getattr(self, name) for name in Deployment.model_fields})

    @property
    def choices(self) -> Choices:
        """Those that can, to be fixed when a graph is published."""
        values = {name: getattr(self, name) for name in Choices.model_fields}
        if self.catalog_file is not None:
            values["catalog_file"] = self.catalog_file.absolute()  # consumers have another working folder
        for name in GIVEN_MASTERS:
            values[name] = tuple(absolute(text) for text in values[name])
        return Choices.model_validate(values)


def as_environment(settings: Settings) -> dict[str, str]:
    """Variables from which another process reads what was set here; what was left to its default stays out."""
    variables = {}
    for name in sorted(settings.model_fields_set):
        value = getattr(settings, name)
        if isinstance(value, SecretStr):
            value = value.get_secret_value()
        if value is not None:
            variables[PREFIX + name.upper()] = (
                str(value)
                if isinstance(value, str | Path)
                else json.dumps(to_jsonable_python(value, exclude_none=True))
            )
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
