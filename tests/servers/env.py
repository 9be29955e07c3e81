"""The variables that name the servers, and the file that remembers what was found.

A variable that is set wins over the file; the file never holds one that was given, so that no password of a user's
server is written down.
"""

import os
import shlex
from collections.abc import Mapping
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parents[2]
HOME = CHECKOUT / ".servers"  # everything that is started lives here
FILE = HOME / "env"

DATABASE = "TIANYU_TEST_DATABASE_URL"  # the server that most tests use, MariaDB or MySQL
MARIADB = "TIANYU_TEST_MARIADB_URL"
MYSQL = "TIANYU_TEST_MYSQL_URL"
BROKER = "TIANYU_TEST_BROKER_URL"
VARIABLES = (DATABASE, MARIADB, MYSQL, BROKER)


def write(file: Path, urls: Mapping[str, str]) -> None:
    """Write ``urls`` (URL by variable) as lines that a shell can source."""
    file.parent.mkdir(parents=True, exist_ok=True)
    new = file.with_name(file.name + ".new")
    new.write_text("".join(f"export {name}={shlex.quote(url)}\n" for name, url in urls.items()), encoding="utf-8")
    new.replace(file)


def read(file: Path, environ: Mapping[str, str] = os.environ) -> dict[str, str]:
    """URL by variable: from ``environ`` where set, else from ``file``; a variable that neither knows is left out."""
    text = file.read_text(encoding="utf-8") if file.is_file() else ""
    words = (word.partition("=") for word in shlex.split(text) if "=" in word)
    remembered = {name: value for name, _, value in words if name in VARIABLES}
    return remembered | {name: environ[name] for name in VARIABLES if environ.get(name)}
