"""`tianyu backup` and `tianyu restore`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from services.cli.console import counting, friendly, note, out, print_paths, show_error, start

if TYPE_CHECKING:
    from services.operating.backup import Backup
    from services.settings import Settings

MB = 1e6

WorkdirOption = Annotated[
    Path | None, typer.Option(metavar="DIR", help="The working folder of `tianyu run`, in place of the settings.")
]


@friendly
def backup(
    target: Annotated[Path, typer.Argument(metavar="FOLDER", help="Where backups lie; each is a folder in it.")],
    images: Annotated[
        bool, typer.Option("--images/--without-images", help="Also the images, or the database alone.")
    ] = True,
    verify: Annotated[
        bool, typer.Option("--verify", help="Make none: read all files of the backup FOLDER, and compare checksums.")
    ] = False,
    workdir: WorkdirOption = None,
) -> None:
    """Copy database and images of this site to a new folder in FOLDER, while programs run. It prints its name.

    The database as it was at one moment, and each image that it names; raw frames are never in it. Images that the
    backup before has too are not copied again. `tianyu gc` deletes no image meanwhile.

    Examples: `tianyu backup /backup/tianyu`, `tianyu backup /backup/tianyu --workdir ~/reduced`,
    `tianyu backup --verify /backup/tianyu/2026-11-20T120000Z`
    """
    from services.operating.backup import back_up
    from services.setup import open_database

    if verify:
        _verify(target)
        return
    settings = _settings(workdir)
    engine = open_database(settings)
    with counting("copying images") as count:
        made = back_up(settings, engine, target, images=images, count=count)
    _tell(settings, made)
    if made.manifest.missing:
        raise typer.Exit(1)


def _verify(folder: Path) -> None:
    from services.operating.backup import open_backup, verify

    start()
    found = open_backup(folder)
    wrong = 0
    for line in verify(found):
        show_error(line)
        wrong += 1
    if wrong:
        raise typer.Exit(1)
    out.print(f"{len(found.sums)} files are as they were written", soft_wrap=True)


def _tell(settings: Settings, made: Backup) -> None:
    facts = made.manifest
    if facts.with_images:
        note(
            f"{facts.images} images: {made.copied_bytes / MB:.1f} MB copied, {made.linked} linked to the backup before"
        )
    else:
        note("the images are not in it (--without-images)")
    if facts.images_elsewhere:
        note(f"{facts.images_elsewhere} images of other sites are not in it: make a backup there, too")
    if facts.frames:
        under = f", also the {facts.frames_under_root} below the root" if facts.frames_under_root else ""
        note(f"{facts.frames} raw frames are not in it: they are yours to keep{under}")
    if settings.root.is_dir() and settings.root.stat().st_dev == made.folder.stat().st_dev:
        note("it lies on the disk of the root: what takes that away takes both")
    for path in facts.missing:
        show_error(f"image {path} is not below {str(settings.root)!r}, and is not in the backup")
    print_paths([made.folder])


@friendly
def restore(
    folder: Annotated[Path, typer.Argument(metavar="BACKUP", help="The folder of one backup.")],
    replace: Annotated[
        bool, typer.Option("--replace", help="Drop what is in the database, and write over images of the same names.")
    ] = False,
    workdir: WorkdirOption = None,
) -> None:
    """Bring a backup back, into the database and below the root of the settings. Refuses what is not empty.

    All checksums are compared before anything is written. What was at work when the backup was made is taken up again
    by the next manager and consumers. The database must be of the kind that the backup is of.

    Examples: `tianyu restore /backup/tianyu/2026-11-20T120000Z`,
    `tianyu restore /backup/tianyu/2026-11-20T120000Z --workdir ~/reduced --replace`
    """
    from services.operating.backup import open_backup
    from services.operating.backup import restore as bring_back

    settings = _settings(workdir, make=True)
    with counting("copying images") as count:
        done = bring_back(settings, open_backup(folder), replace=replace, count=count)
    out.print(f"restored: {done.images} images copied, {done.interrupted} processes were at work", soft_wrap=True)
    if done.lost:
        note(
            f"{done.lost} images are not there and count as deleted: publish observations that need them again "
            "(`tianyu status` shows which fail)"
        )
    if done.folders_away:
        note(f"{done.folders_away} folders of raw frames are not there: mount them before consumers start")


def _settings(workdir: Path | None, *, make: bool = False) -> Settings:
    """Those of the surroundings, or of a working folder."""
    if workdir is None:
        return start()
    from services import log
    from services.engine.embedded import DATABASE_FILE, embedded_settings
    from services.errors import ConfigurationError

    if not make and not (workdir / DATABASE_FILE).is_file():
        raise ConfigurationError(f"folder {str(workdir)!r} has no {DATABASE_FILE}: name the --workdir of `tianyu run`")
    settings = embedded_settings(workdir)
    log.configure(settings.log_format, settings.log_level)
    return settings
