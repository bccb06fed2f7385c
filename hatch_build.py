"""What the wheel's build adds: the compiled beam search, where a C compiler is found; else the wheel is pure."""

from __future__ import annotations

import importlib.util
import os
import platform
import subprocess
import sysconfig
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

PURE = "HEYJETSON_PURE"  # 1: a wheel for all platforms, without the compiled search; 0: fail where it cannot be built
CORE = Path("heyjetson") / "decoding" / "core"


class CompiledBeamSearch(BuildHookInterface):
    """Compiles it into the wheel, or beside its source in an editable install."""

    PLUGIN_NAME = "custom"

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Compile and say what platform the wheel is for.

        Args:
            version: `standard` or `editable`.
            build_data: of the wheel.

        Raises:
            OSError: HEYJETSON_PURE is 0 and there is no compiler.
            subprocess.CalledProcessError: HEYJETSON_PURE is 0 and it fails.
        """
        wish = os.environ.get(PURE)
        if self.target_name != "wheel" or wish == "1":
            return
        place = Path(self.root) / CORE / "build.py"
        spec = importlib.util.spec_from_file_location("beam_build", place)
        assert spec and spec.loader
        build = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(build)
        try:
            library = build.build()
        except (OSError, subprocess.CalledProcessError) as error:
            if wish == "0":
                raise
            said = getattr(error, "stderr", None) or error
            self.app.display_warning(f"The beam search is not compiled, numpy will serve: {said}")
            return
        build_data["pure_python"] = False
        # No Python of any version is linked to; only the platform matters.
        build_data["tag"] = f"py3-none-{self._platform()}"
        if version == "standard":
            build_data["force_include"][str(library)] = (CORE / library.name).as_posix()

    @staticmethod
    def _platform() -> str:
        name = os.environ.get("_PYTHON_HOST_PLATFORM") or sysconfig.get_platform()  # cibuildwheel sets it on macOS
        name = name.replace("-", "_").replace(".", "_")
        if name == "linux_x86_64" and platform.architecture()[0] == "32bit":
            return "linux_i686"
        return name
