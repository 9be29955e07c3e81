"""Settings: ``tianyu.toml`` in the working directory (or ``TIANYU_CONFIG``), then ``TIANYU_…`` environment variables.

Unknown keys are refused in the file and among the variables, so that a typo is an error and not a default. A secret may
stand in a file of its own, which a variable ``TIANYU_…_FILE`` names.
"""

import json
import os
from pathlib import Path
from typing import Any, get_args

from pydantic import SecretStr, ValidationError
from pydantic_core import to_jsonable_python
from pydantic_settings import (
    BaseSettings,
    InitSettingsSource,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    TomlConfigSettingsSource,
)

from services import secret_files, transport_security
from services.choices import GIVEN_MASTERS, Choices, absolute
from services.deployment import Deployment
from services.errors import ConfigurationError
from services.header_reading import Reading

PREFIX = "TIANYU_"
CONFIG_VARIABLE = "TIANYU_CONFIG"
# Variables that belong to the surroundings (tests, compose files), not to the settings.
NOT_SETTINGS = ("TIANYU_TEST_", CONFIG_VARIABLE)
# A URL's password, in a file of its own.
PASSWORDS = {
    "database_url": f"{PREFIX}DATABASE_PASSWORD",
    "broker_url": f"{PREFIX}BROKER_PASSWORD",
    "review_database_url": f"{PREFIX}REVIEW_DATABASE_PASSWORD",
}


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
        files = {name: secret.value for name, secret in _secrets_in_files().items()}
        in_files = InitSettingsSource(settings_cls, init_kwargs=files)
        return init_settings, in_files, env_settings, TomlConfigSettingsSource(settings_cls, toml_file=path)

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
        if self.standard_file is not None:
            values["standard_file"] = self.standard_file.absolute()
        for name in GIVEN_MASTERS:
            values[name] = tuple(absolute(text) for text in values[name])
        return Choices.model_validate(values)


def _secret_names() -> list[str]:
    return [
        name
        for name, field in Settings.model_fields.items()
        if SecretStr in (field.annotation, *get_args(field.annotation))
    ]


def _secrets_in_files() -> dict[str, secret_files.Secret]:
    found = secret_files.read(variable_of(name) for name in _secret_names())
    return {variable.removeprefix(PREFIX).lower(): secret for variable, secret in found.items()}


def variable_of(name: str) -> str:
    """The environment variable of a setting."""
    return PREFIX + name.upper()


def file_variables() -> set[str]:
    """Variables that name files with a secret in each."""
    return {name + secret_files.ENDING for name in (*map(variable_of, _secret_names()), *PASSWORDS.values())}


def child_environment(settings: Settings) -> dict[str, str]:
    """The environment of a program that this one starts, with these settings: its secrets have been read."""
    kept = {name: value for name, value in os.environ.items() if name not in file_variables()}
    return kept | as_environment(settings)


def as_environment(settings: Settings) -> dict[str, str]:
    """Variables from which another process reads what was set here; what was left to its default stays out."""
    variables = {}
    for name in sorted(settings.model_fields_set):
        value = getattr(settings, name)
        if isinstance(value, SecretStr):
            value = value.get_secret_value()
        if value is not None:
            variables[variable_of(name)] = (
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
    known = {variable_of(name) for name in Settings.model_fields} | file_variables()
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
        return _connected(Settings(**overrides))
    except ValidationError as error:
        # The values themselves are left out: they may hold passwords.
        lines = [f"{'.'.join(str(part) for part in e['loc']) or 'settings'}: {e['msg']}" for e in error.errors()]
        raise ConfigurationError("settings are wrong: " + "; ".join(lines)) from None
    except ValueError as error:  # a TOML file that cannot be parsed
        raise ConfigurationError(f"settings cannot be read: {error}") from error


def _connected(settings: Settings) -> Settings:
    """The same, with URLs that are all that a connection is made by: passwords of files are in them, and TLS."""
    transport_security.require_files(settings)
    passwords = secret_files.read(PASSWORDS.values())
    changed = {}
    for name, secured in (
        ("database_url", transport_security.secured_database),
        ("broker_url", transport_security.secured_broker),
        ("review_database_url", transport_security.secured_database),
    ):
        if (setting := getattr(settings, name)) is None:
            continue
        given = url = setting.get_secret_value()
        if secret := passwords.get(PASSWORDS[name]):
            url = secret_files.with_password(url, secret)
        try:
            url = secured(url, settings)
        except ValueError:  # who connects says what is wrong with it
            continue
        if url != given:
            changed[name] = SecretStr(url)
    return settings.model_copy(update=changed)
