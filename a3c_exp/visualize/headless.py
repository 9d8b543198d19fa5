"""Drawing without a display."""

import os


def use_headless_display() -> None:
    """Let pygame draw into memory: pictures that nobody sees on a display need none."""
    os.environ.setdefault("SDL_VIDEODRIVER", "dummy")
