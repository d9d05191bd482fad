"""Shows a file in whatever program the platform opens such files with."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path


def viewer_command(platform: str, environment: Mapping[str, str]) -> list[str] | None:
    """The command that opens a file, its path to be added; None where there is none.

    Args:
        platform: as `sys.platform`.
        environment: as `os.environ`; a viewer needs a screen on Linux and its kin.
    """
    if platform == "win32":
        return ["cmd", "/c", "start", ""]
    if platform == "darwin":
        return ["open"]
    has_screen = bool(environment.get("DISPLAY") or environment.get("WAYLAND_DISPLAY"))
    opener = shutil.which("xdg-open", path=environment.get("PATH"))
    return [opener] if opener and has_screen else None


def show(path: Path, platform: str = sys.platform, environment: Mapping[str, str] | None = None) -> str:
    """Open a file without waiting for the viewer to be closed.

    Returns:
        Why it could not be opened, in a line; empty when a viewer was started.
    """
    environment = os.environ if environment is None else environment
    command = viewer_command(platform, environment)
    if command is None:
        return f"there is no viewer or no screen here to open '{path}' with"
    try:
        # The command is the platform's own opener, the path that of a report just written.
        subprocess.Popen(
            [*command, str(path)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True
        )
    except OSError as error:
        return f"'{path}' could not be opened ({error.strerror or error})"
    return ""
