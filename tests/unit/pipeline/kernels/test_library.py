"""The compiled library: whose sources it is of, what it refuses, and what is told where it is missing."""

import ctypes
import importlib
import pkgutil
import shutil
import sys
from collections.abc import Iterator
from inspect import isfunction
from pathlib import Path

import numpy as np
import pytest

from pipeline import kernels
from pipeline.kernels import compiling, library
from pipeline.kernels.binning import binned_sums
from pipeline.kernels.sky_mesh import subtract_spline
from services.errors import ConfigurationError
from services.steps import preload

KERNELS = [m.name for m in pkgutil.iter_modules(kernels.__path__) if (compiling.FOLDER / f"{m.name}.c").is_file()]


FAKE = """import sys, pathlib
path = pathlib.Path(sys.argv[sys.argv.index("-o") + 1])
sys.exit("refused: " + sys.argv[-2]) if "refuse" in sys.argv else path.write_bytes(b"compiled")
"""


@pytest.fixture
def compiler(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> str:
    """The command of one that makes any file; `refuse` behind it: none. Not all machines have another."""
    script = tmp_path_factory.mktemp("compiler") / "fake.py"
    script.write_text(FAKE)
    command = f"{sys.executable} {script}"
    monkeypatch.setenv("CC", command)
    return command


@pytest.fixture
def sources(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A copy of the sources that is not compiled yet."""
    for source in compiling.FOLDER.glob("*.[ch]"):
        shutil.copy(source, tmp_path)
    monkeypatch.setattr(compiling, "FOLDER", tmp_path)
    library.load.cache_clear()
    yield tmp_path
    library.load.cache_clear()


@pytest.mark.parametrize("name", KERNELS)
def test_each_kernel_has_the_same_in_numpy_beside_it(name: str) -> None:
    module = importlib.import_module(f"pipeline.kernels.{name}")
    own = {key for key, value in vars(module).items() if isfunction(value) and value.__module__ == module.__name__}
    called = {key for key in own if not key.startswith("_") and not key.endswith("_reference")}
    assert called
    assert {f"{key}_reference" for key in called} == {key for key in own if key.endswith("_reference")}


def test_a_library_of_other_sources_is_not_taken(sources: Path) -> None:
    (sources / compiling.library().name).write_bytes(b"of these sources")
    (sources / "binning.c").write_text("int other;\n")
    with pytest.raises(library.MissingKernelsError, match="make env"):
        library.load()
    with pytest.raises(ConfigurationError, match="make env"):
        preload()


def test_what_earlier_sources_gave_is_removed(sources: Path, compiler: str) -> None:
    assert compiler
    earlier = compiling.compile_kernels()
    (sources / "binning.c").write_text("int other;\n")
    made = compiling.compile_kernels()
    assert [made] == list(sources.glob("*.so"))
    assert made != earlier


def test_without_a_compiler_it_is_said_what_to_install(sources: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert sources
    monkeypatch.delenv("CC", raising=False)
    monkeypatch.setenv("PATH", "")
    monkeypatch.setattr(compiling, "PACKAGED", "no_such_package")
    assert compiling.compiler() is None
    with pytest.raises(compiling.CompilerError, match="gcc"):
        compiling.compile_kernels()


def test_a_compiler_that_refuses_is_quoted(sources: Path, compiler: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CC", f"{compiler} refuse")
    with pytest.raises(compiling.CompilerError, match=r"refused: .*\.c"):
        compiling.compile_kernels()
    monkeypatch.setenv("CC", str(sources / "nowhere"))
    with pytest.raises(compiling.CompilerError, match="set CC"):
        compiling.compile_kernels()


def test_arrays_that_are_not_as_the_kernel_needs_them_are_refused() -> None:
    image = np.zeros((8, 8), np.float32)
    with pytest.raises(ctypes.ArgumentError):
        subtract_spline(image[:, ::2], np.zeros((2, 2)), (4, 4))
    with pytest.raises(ctypes.ArgumentError):
        binned_sums(image.astype(np.float64), 2)  # type: ignore[arg-type]
