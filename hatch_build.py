"""What installing Tianyu does besides: it compiles the kernels."""

import sys
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

sys.path.insert(0, str(Path(__file__).parent))  # builds run in an environment of their own

from pipeline.kernels import compiling


class CompiledKernels(BuildHookInterface):  # type: ignore[type-arg]
    """One library beside its sources."""

    def dependencies(self) -> list[str]:
        """A compiler, where the machine has none."""
        return [] if compiling.compiler() else [compiling.PACKAGED]

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:  # noqa: ARG002
        """Compile; the wheel is one of this kind of machine."""
        compiling.compile_kernels()
        build_data.update(pure_python=False, infer_tag=True)
