"""A fork that is a program of its own: what it gets, what it keeps of its parent, and how its end is told."""

import subprocess
import sys
from pathlib import Path

from services.engine.forked import THREADS

# Run by itself: a test's own process has threads.
PROGRAM = """
import os, signal, subprocess, sys
from pathlib import Path
from services.engine.forked import Forked, is_safe_to_fork

assert is_safe_to_fork()
log, kept = Path(sys.argv[1]), open(sys.argv[1], "ab")

def main():
    assert [path.name for path in Path("/proc/self/fd").iterdir() if int(path.name) > 3] == []
    print("heard", os.read(0, 1), flush=True)
    assert os.read(0, 1) == b"", "somebody else has the parent's end"
    sys.exit("a sentence")

first = Forked(main, kept)
second = Forked(lambda: os.kill(os.getpid(), signal.SIGKILL), kept)
first.stdin.write(b"w")
first.stdin.flush()
assert second.wait() == -signal.SIGKILL
try:
    first.wait(0.0)
except subprocess.TimeoutExpired:
    pass
else:
    raise AssertionError("it ended before its input did")
first.stdin.close()
assert first.wait() == first.poll() == 1
broken = Forked(lambda: 1 // 0, kept)
assert broken.wait() == 1
assert Forked(lambda: None, kept).wait() == 0
said = log.read_text()
assert said.startswith("heard b'w'\\na sentence\\n"), said
assert "ZeroDivisionError" in said
"""


def test_a_fork_is_a_program_with_input_output_and_exit_code(tmp_path: Path) -> None:
    assert THREADS.is_dir(), "on Linux alone"
    ended = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(tmp_path / "log")], capture_output=True, text=True, timeout=120, check=False
    )
    assert ended.returncode == 0, ended.stderr
