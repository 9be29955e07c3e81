"""What the operator says of all frames of a folder, against or in place of their headers."""

from dataclasses import dataclass, fields, replace

from services.errors import ConfigurationError
from services.ingest.cards import NAME_LENGTH, printable
from services.ingest.headers import FrameFacts


@dataclass(frozen=True)
class Given:
    """Names that hold for a whole folder; None: as each header says."""

    object: str | None = None  # of light frames
    filter: str | None = None  # of light frames and flats
    instrument: str | None = None

    def __post_init__(self) -> None:
        """Refuse what no header could hold.

        Raises:
            ConfigurationError: a name is empty, too long or not printable.
        """
        for field in fields(self):
            name = getattr(self, field.name)
            if name is not None and (name != printable(name) or not 0 < len(name) <= NAME_LENGTH):
                raise ConfigurationError(
                    f"--{field.name} {name!r} is no name: expected 1 to {NAME_LENGTH} printable characters, without "
                    "blanks around them"
                )

    def of(self, frame: FrameFacts) -> FrameFacts:
        """The frame under these names; with others than before it is read again, as if its header were corrected."""
        names = {"instrument": self.instrument}
        if frame.kind == "light":
            names["target"] = self.object
        if frame.kind in ("light", "flat"):
            names["filter"] = self.filter
        told = {key: name for key, name in names.items() if name is not None}
        if not told:
            return frame
        header = "\n".join((frame.header, *(f"given {key} {name}" for key, name in told.items())))
        return replace(frame, **told, header=header, has_object=frame.has_object or "target" in told)  # type: ignore[arg-type]
