"""The file that remembers the servers."""

import subprocess
from pathlib import Path

from tests.servers import env

AWKWARD = "mysql+pymysql://root:it's%20$HOME@127.0.0.1:3307/"


def test_what_is_written_is_read(tmp_path: Path) -> None:
    env.write(tmp_path / "env", {env.MYSQL: AWKWARD, env.BROKER: "amqp://guest:guest@127.0.0.1:5672/"})
    assert env.read(tmp_path / "env", {}) == {env.MYSQL: AWKWARD, env.BROKER: "amqp://guest:guest@127.0.0.1:5672/"}


def test_a_shell_reads_the_same(tmp_path: Path) -> None:
    env.write(tmp_path / "env", {env.MYSQL: AWKWARD})
    script = f'. "$0" && printf %s "${env.MYSQL}"'
    done = subprocess.run(["sh", "-c", script, str(tmp_path / "env")], capture_output=True, text=True, check=True)
    assert done.stdout == AWKWARD


def test_a_set_variable_wins_and_an_empty_one_does_not(tmp_path: Path) -> None:
    env.write(tmp_path / "env", {env.MYSQL: "remembered", env.BROKER: "remembered"})
    assert env.read(tmp_path / "env", {env.MYSQL: "given", env.BROKER: ""}) == {
        env.MYSQL: "given",
        env.BROKER: "remembered",
    }


def test_no_file_is_no_server(tmp_path: Path) -> None:
    assert env.read(tmp_path / "env", {}) == {}
