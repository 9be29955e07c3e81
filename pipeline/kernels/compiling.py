"""Compiling the kernels: by the machine's own C compiler, or by one that comes as a Python package.

`python -m pipeline.kernels.compiling` does it after a change of a source; installing Tianyu does it too
(`hatch_build.py`). Only the standard library is needed here.
"""

import hashlib
import importlib.util
import os
import platform
import shlex
import subprocess
import sys
import tempfile
from pathlib import Path

FOLDER = Path(__file__).parent
PACKAGED = "ziglang"  # a package of the index whose program compiles C, with all headers; of some 100 MB
# No contraction and no reordering: whatever compiler and processor, the numbers are the same.
NUMBERS = ("-ffp-contract=off", "-fno-math-errno", "-fno-trapping-math")
FLAGS = ("-std=c11", "-O3", "-g0", *NUMBERS, "-fPIC", "-shared", "-s", "-Wall", "-Wextra", "-Wconversion")
TRIAL = "#include <math.h>\n#include <stdint.h>\ndouble trial(double x) { return sqrt(x); }\n"
NAMES = "kernels-{}.so"


class CompilerError(RuntimeError):
    """No compiler was found, or it refused the sources."""


def library() -> Path:
    """Where the library of these very sources lies on a machine of this kind, compiled or not."""
    digest = hashlib.sha256(" ".join(FLAGS).encode())
    for source in sorted([*FOLDER.glob("*.c"), *FOLDER.glob("*.h")]):
        digest.update(source.name.encode() + b"\0" + source.read_bytes())
    return FOLDER / NAMES.format(f"{sys.platform}-{platform.machine()}-{digest.hexdigest()[:12]}")


def compiler() -> list[str] | None:
    """The command: that of the variable CC, the machine's, or the packaged one; None where there is none that works."""
    told = os.environ.get("CC")
    if told:
        return shlex.split(told)
    if _works(["cc"]):
        return ["cc"]
    return [sys.executable, "-m", PACKAGED, "cc"] if importlib.util.find_spec(PACKAGED) else None


def compile_kernels() -> Path:
    """Compile all sources into one library, in place of those of earlier sources; returns its path.

    Raises:
        CompilerError: there is no compiler, or it fails; with what it said.
    """
    command, path = compiler(), library()
    if command is None:
        raise CompilerError(
            f"no C compiler works here: install one (on Debian: gcc libc6-dev), or pip install {PACKAGED}"
        )
    with tempfile.TemporaryDirectory(dir=FOLDER, prefix=".compiling-") as folder:
        made = Path(folder) / path.name
        sources = [str(source) for source in sorted(FOLDER.glob("*.c"))]
        _run([*command, *FLAGS, "-o", str(made), *sources, "-lm"])
        made.replace(path)
    for earlier in FOLDER.glob(NAMES.format(f"{sys.platform}-{platform.machine()}-*")):
        if earlier != path:
            earlier.unlink(missing_ok=True)
    return path


def _works(command: list[str]) -> bool:
    """Whether a compiler makes a library; some are there without headers or linker."""
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder) / "trial.c"
        source.write_text(TRIAL, encoding="ascii")
        try:
            _run([*command, *FLAGS, "-o", str(source.with_suffix(".so")), str(source), "-lm"])
        except CompilerError:
            return False
    return True


def _run(command: list[str]) -> None:
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603
    except OSError as error:
        raise CompilerError(f"{command[0]} does not start ({error}): set CC to a C compiler") from error
    if done.returncode:
        raise CompilerError(f"{shlex.join(command)} ended with {done.returncode}:\n{done.stderr}")
    sys.stderr.write(done.stderr)  # warnings, to who changes a source


if __name__ == "__main__":
    print(compile_kernels())  # noqa: T201
