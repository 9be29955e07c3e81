"""The operator's file of targets: for each name, where its field is, and which stars are meant.

A table a target: ``radec`` is the middle of its field, ``targets``, ``references`` and ``checks`` are stars.
"""

import tomllib
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from services.choices import Choices
from services.errors import ConfigurationError
from services.star_names import SkyPlace, StarName

OF_STARS = ("targets", "references", "checks")


class TargetTable(BaseModel):
    """What an operator says of one target; what is not said is as the settings have it."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    radec: SkyPlace | None = None
    targets: tuple[StarName, ...] = ()
    references: tuple[StarName, ...] = ()
    checks: tuple[StarName, ...] = ()
    match_px: Annotated[float, Field(gt=0, le=1e5)] | None = None
    match_arcsec: Annotated[float, Field(gt=0, le=648_000)] | None = None

    def fill(self, choices: Choices) -> Choices:
        """The choices of all targets with this one's in their place.

        Stars that are named here stand for all that the settings name; the method `manual` then goes first.
        """
        changes: dict[str, Any] = {}
        if self.radec is not None:
            changes["solve_radec"] = self.radec
        for name in ("match_px", "match_arcsec"):
            if (value := getattr(self, name)) is not None:
                changes[f"manual_{name}"] = value
        if any(getattr(self, name) for name in OF_STARS):
            changes |= {f"manual_{name}": getattr(self, name) for name in OF_STARS}
            if "manual" not in choices.relative_methods:
                changes["relative_methods"] = ("manual", *choices.relative_methods)
        return choices.model_copy(update=changes)


_TABLES = TypeAdapter(dict[str, TargetTable])


def read_targets(path: Path) -> dict[str, TargetTable]:
    """Tables by the names that stand in the file.

    Raises:
        ConfigurationError: the file cannot be read, a table says what it cannot say, or two are of one name.
    """
    try:
        tables = _TABLES.validate_python(tomllib.loads(path.read_text(encoding="utf-8")))
    except ValidationError as error:
        problems = "; ".join(f"{'.'.join(map(str, one['loc']))}: {one['msg']}" for one in error.errors())
        raise ConfigurationError(
            f"targets file {str(path)!r}: {problems}; expected a table a target, with {', '.join(_known())}"
        ) from error
    except (OSError, ValueError) as error:
        raise ConfigurationError(f"targets file {str(path)!r} cannot be read: {error}") from error
    seen: dict[str, str] = {}
    for name in tables:
        other = seen.setdefault(bare(name), name)
        if other != name:
            raise ConfigurationError(
                f"targets file {str(path)!r}: {other!r} and {name!r} are one target: leave one table"
            )
    return tables


def bare(name: str) -> str:
    """A target's name without what spellings differ by: capitals and blanks."""
    return "".join(name.casefold().split())


def _known() -> list[str]:
    return list(TargetTable.model_fields)
