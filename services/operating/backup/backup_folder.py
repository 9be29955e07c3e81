"""The folder of one backup: what it says of itself, and checksums of all its files.

    manifest.json       facts (`Manifest`)
    SHA256SUMS          a line for each file, as `sha256sum --check SHA256SUMS` reads them
    database.sql.gz     or, of SQLite, database.db
    images/KIND/OBSERVATION/PID.fits

It is written under a temporary name and renamed when it is whole.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from pydantic import BaseModel, ConfigDict, ValidationError

from services.checksums import sha256_of
from services.errors import ConfigurationError, DataError

MANIFEST, SUMS, IMAGES = "manifest.json", "SHA256SUMS", "images"
DUMP, SQLITE_FILE = "database.sql.gz", "database.db"
FORMAT = 1
UNFINISHED = "unfinished"  # folders of backups that are not whole begin so
LINE = re.compile(r"([0-9a-f]{64})  (.+)")
READ_BYTES = 1 << 20


class Manifest(BaseModel):
    """Facts of a backup. It holds no secret: neither URLs nor users."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    format: int = FORMAT
    tianyu: str  # version
    revision: str  # of the schema
    engine: str  # sqlite, mysql, mariadb
    server: str  # version
    taken_at: str  # UTC, when the database was copied
    site: str
    root: str
    with_images: bool
    images: int
    missing: list[str] = []  # images that the database names and that were not there
    images_elsewhere: int = 0  # of other sites, which are not in it
    frames: int = 0  # raw frames that the database names; none is in it
    frames_under_root: int = 0  # those of this site's that lie under its root


@dataclass(frozen=True)
class BackupFolder:
    """A backup that is whole, as far as its names say; `verify` looks at the bytes."""

    path: Path
    manifest: Manifest
    sums: dict[str, str]  # SHA-256 by name, as written: with slashes

    @property
    def database(self) -> Path:
        """The copy of the database."""
        return self.path / (SQLITE_FILE if self.manifest.engine == "sqlite" else DUMP)

    @property
    def images(self) -> dict[str, str]:
        """SHA-256 of images by their path as in table ``image``."""
        prefix = f"{IMAGES}/"
        return {name.removeprefix(prefix): digest for name, digest in self.sums.items() if name.startswith(prefix)}


def write_sums(folder: Path, sums: dict[str, str]) -> None:
    """Write the list of checksums, which makes a folder a backup."""
    lines = "".join(f"{digest}  {name}\n" for name, digest in sorted(sums.items()))
    (folder / SUMS).write_text(lines, encoding="utf-8")


def backups_in(target: Path) -> list[Path]:
    """Folders of backups, the oldest first."""
    try:
        found = [path for path in target.iterdir() if (path / SUMS).is_file() and not path.name.startswith(UNFINISHED)]
    except OSError:
        return []
    return sorted(found)


def open_backup(path: Path) -> BackupFolder:
    """Read what a backup says of itself.

    Raises:
        ConfigurationError: the folder is no backup, or one that this Tianyu does not know.
        DataError: its manifest or list of checksums cannot be read.
    """
    if not (path / SUMS).is_file():
        others = backups_in(path)
        hint = f"it holds {len(others)}: name one of them, the newest is {str(others[-1])!r}" if others else (
            "expected the folder that `tianyu backup` has printed"
        )  # fmt: skip
        raise ConfigurationError(f"folder {str(path)!r} is no backup, {SUMS} is not there: {hint}")
    sums: dict[str, str] = {}
    try:
        for line in (path / SUMS).read_text(encoding="utf-8").splitlines():
            match = LINE.fullmatch(line)
            if match is None or not _stays_inside(match[2]):
                raise DataError(f"file {str(path / SUMS)!r} is damaged: {line[:100]!r} is no checksum with a name")
            sums[match[2]] = match[1]
        manifest = Manifest.model_validate_json((path / MANIFEST).read_bytes())
    except ValidationError as error:
        raise DataError(f"file {str(path / MANIFEST)!r} is damaged or of another Tianyu: {error}") from error
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"backup {str(path)!r} cannot be read: {error}") from error
    if manifest.format != FORMAT:
        raise ConfigurationError(
            f"backup {str(path)!r} has format {manifest.format}, this Tianyu knows {FORMAT}: use the one that made it"
        )
    return BackupFolder(path, manifest, sums)


def _stays_inside(name: str) -> bool:
    parts = PurePosixPath(name).parts
    return bool(parts) and not PurePosixPath(name).is_absolute() and ".." not in parts


def verify(backup: BackupFolder) -> Iterator[str]:
    """Read all files again: a line for each that is not as it was written, or that nobody knows."""
    for name in sorted({MANIFEST, backup.database.name} - backup.sums.keys()):
        yield f"file {name} has no checksum"
    for name, digest in sorted(backup.sums.items()):
        path = backup.path / name
        try:
            if path.is_symlink() or not path.is_file():
                yield f"file {name} is not there"
            elif sha256_of(path) != digest:
                yield f"file {name} has other bytes than were written"
        except OSError as error:
            yield f"file {name} cannot be read: {error.strerror}"
    there = {str(path.relative_to(backup.path)) for path in backup.path.rglob("*") if not path.is_dir()}
    for name in sorted(there - backup.sums.keys() - {SUMS}):
        yield f"file {name} is not of this backup"
