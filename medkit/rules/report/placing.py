"""A figure on a sheet, smaller than it is: its text stays text, and its lines stay lines."""

from __future__ import annotations

from typing import Any

from matplotlib.artist import Artist
from matplotlib.backends.backend_pdf import Op
from matplotlib.figure import Figure


class Placed(Artist):
    """A figure that a PDF's page draws as one of its own parts.

    Args:
        x, y: points, of its lower left corner.
        scale: of all that it draws.
    """

    def __init__(self, figure: Figure, x: float, y: float, scale: float):
        super().__init__()
        self.picture, self.place = figure, (scale, 0, 0, scale, x, y)

    def draw(self, renderer: Any) -> None:
        file, state, picture = renderer.file, renderer.gc, self.picture
        size, dpi = (file.width, file.height), picture.dpi
        file.output(*state.finalize(), *state.push(), *self.place, Op.concat_matrix)
        before, state.parent = state.parent, None  # the figure goes back to here, not behind it
        file.width, file.height = picture.get_size_inches()  # beyond which lines are cut
        picture.dpi = 72
        try:
            Figure.draw(picture, renderer)
        finally:
            picture.dpi = dpi
            file.width, file.height = size
            file.output(*state.finalize())
            state.parent = before
            file.output(*state.pop())
