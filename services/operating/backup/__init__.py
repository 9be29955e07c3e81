"""Backups: a copy of the database at one moment, with the images that it names; and how they come back."""

from services.operating.backup.backing_up import Backup, back_up
from services.operating.backup.backup_folder import open_backup, verify
from services.operating.backup.restoring import Restored, restore

__all__ = ["Backup", "Restored", "back_up", "open_backup", "restore", "verify"]
