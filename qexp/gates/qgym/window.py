"""A window that shows pictures, for the render mode ``human``."""

from __future__ import annotations

import os
from typing import Any

import gymnasium as gym
import numpy as np
import numpy.typing as npt


class Window:
    """A pygame window.

    Args:
        size: Width and height, pixels.
        title: In its frame.

    Raises:
        gymnasium.error.DependencyNotInstalled: pygame is missing.
    """

    def __init__(self, size: tuple[int, int], title: str) -> None:
        os.environ.setdefault("PYGAME_HIDE_SUPPORT_PROMPT", "1")
        try:
            import pygame
        except ImportError as error:
            raise gym.error.DependencyNotInstalled(
                'render_mode="human" needs pygame: pip install "qexp[human]"'
            ) from error
        self._pygame: Any = pygame
        pygame.display.init()
        self._surface = pygame.display.set_mode(size)
        pygame.display.set_caption(title)

    def show(self, picture: npt.NDArray[np.uint8]) -> None:
        """Show a picture, ``[height, width, 3]``."""
        pygame = self._pygame
        height, width, _ = picture.shape
        image = pygame.image.frombuffer(picture.tobytes(), (width, height), "RGB")
        self._surface.blit(image, (0, 0))
        pygame.event.pump()
        pygame.display.flip()

    def close(self) -> None:
        """Close the window."""
        self._pygame.display.quit()
