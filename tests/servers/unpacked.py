"""Debian packages unpacked beside the system, in a cache that all checkouts of a user share; needs no root."""

import os
import platform
import re
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path

from tests.servers import programs
from tests.servers.errors import CannotStart

TIMEOUT_S = 900.0
KEYRING = Path("/usr/share/keyrings/debian-archive-keyring.gpg")
DEFAULT_MIRROR = "http://deb.debian.org/debian"
SOURCES = (Path("/etc/apt/sources.list.d/debian.sources"), Path("/etc/apt/sources.list"))
# Only needed by maintainer scripts and helper scripts, none of which runs here.
NOT_UNPACKED = re.compile(r"perl$|perl-base|perl-modules|libperl|libgdbm|libdb5|libc-gconv|debconf|gcc-\d+-base")
NOT_EXTRACTED = ("doc", "man", "locale", "lintian", "info")


def cache() -> Path:
    """Folder for what was downloaded, shared by all checkouts of a user."""
    base = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    return Path(base).expanduser() / "tianyu-servers"


def mirror(sources: str) -> str:
    """The first Debian mirror that apt's ``sources`` name, of either format."""
    found = re.search(r"^(?:URIs:|deb(?:\s+\[[^\]]*\])?)\s+(https?://[^\s]*/debian)/?(?=\s|$)", sources, re.MULTILINE)
    return found.group(1) if found else DEFAULT_MIRROR


def unpack(package: str, suite: str, *, parts: Sequence[str] = ()) -> Path:
    """Root folder with ``package`` of ``suite`` and its libraries, downloaded once; needs no root.

    parts: packages of data, and nothing that they depend on, instead of it.

    Raises:
        CannotStart: Debian's tools or keys are not here, or the download failed.
    """
    root = cache() / f"{package}-{suite}-{platform.machine()}"
    if root.is_dir():
        return root
    if not KEYRING.is_file() or not programs.find("apt-get") or not programs.find("dpkg-deb"):
        raise CannotStart(f"Debian's packages need apt-get, dpkg-deb and {KEYRING} (package debian-archive-keyring)")
    try:
        cache().mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix="new-", dir=cache()) as work:
            archives = _download(Path(work), package, suite, parts)
            new = _extract(Path(work), archives)
            # Complete or not there; another checkout may have been quicker.
            if not root.is_dir():
                new.rename(root)
    except (OSError, subprocess.CalledProcessError) as error:
        raise CannotStart(f"{cache()} cannot be filled ({error}): set XDG_CACHE_HOME to a writable folder") from error
    return root


def _download(work: Path, package: str, suite: str, parts: Sequence[str]) -> list[Path]:
    """Fetch and verify ``parts``, or ``package`` and what it depends on as if nothing were installed."""
    etc, lists, archives = work / "etc", work / "lists", work / "archives"
    for folder in (etc / "apt.conf.d", etc / "preferences.d", lists / "partial", archives / "partial"):
        folder.mkdir(parents=True)
    (work / "status").touch()
    text = "\n".join(file.read_text(encoding="utf-8", errors="replace") for file in SOURCES if file.is_file())
    (etc / "sources.list").write_text(f"deb [signed-by={KEYRING}] {mirror(text)} {suite} main\n", encoding="utf-8")
    settings = {
        "Dir::Etc": etc,
        "Dir::State::status": work / "status",
        "Dir::State::lists": lists,
        "Dir::Cache": work,
        "Dir::Cache::archives": archives,
        "Acquire::Languages": "none",
        "Acquire::Retries": "3",
        "APT::Sandbox::User": "",  # the download user may not write here
        "APT::Update::Post-Invoke-Success::": "",
        "APT::Update::Post-Invoke::": "",
        "Debug::NoLocking": "1",
    }
    apt = ["apt-get", "-q", *(part for key, value in settings.items() for part in ("-o", f"{key}={value}"))]
    programs.run([*apt, "update"], TIMEOUT_S)
    wanted = list(parts)
    if not parts:
        plan = programs.run([*apt, "-s", "install", "--no-install-recommends", package], TIMEOUT_S)
        names = [line.split()[1] for line in plan.splitlines() if line.startswith("Inst ")]
        wanted = [name for name in names if not NOT_UNPACKED.match(name)]
    programs.run([*apt, "download", *wanted], TIMEOUT_S, cwd=archives)
    return sorted(archives.glob("*.deb"))


def _extract(work: Path, archives: list[Path]) -> Path:
    """Unpack into one merged-/usr root, without documentation."""
    root = work / "root"
    for name in ("bin", "sbin", "lib", "lib64"):
        (root / "usr" / name).mkdir(parents=True)
        (root / name).symlink_to(f"usr/{name}")
    left_out = [f"--exclude=./usr/share/{name}*" for name in NOT_EXTRACTED]
    for archive in archives:
        contents = work / "contents.tar"
        with contents.open("wb") as output:
            subprocess.run(["dpkg-deb", "--fsys-tarfile", archive], stdout=output, check=True)
        # Packages that still name /lib must land in /usr/lib: the link is kept, not replaced.
        programs.run(["tar", "-x", "--keep-directory-symlink", *left_out, "-f", contents, "-C", root], TIMEOUT_S)
    return root
