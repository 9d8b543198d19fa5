"""Rendering without a display."""

import os


def use_headless_display() -> None:
    """Let pygame render into memory, unless the environment variable says otherwise."""
    os.environ.setdefault("SDL_VIDEODRIVER", "dummy")
