"""Text on a sheet: its fonts, how wide it is, and where its lines break."""

from __future__ import annotations

from functools import lru_cache
from typing import Any, NamedTuple, Sequence

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties, fontManager

from medkit.show.fonts import families, hangul_font

INK, SOFT = "#222222", "#6B6B6B"  # colours of text
FINE = 10  # times 72 dpi, at which text is measured
PADDING = 14  # points, beside the text of a cell


class Cell(NamedTuple):
    """A table's cell that is not plain."""

    text: str
    colour: str = INK
    bold: bool = False


def font(size: float, bold: bool = False) -> FontProperties:
    """Hangul's own font first: letters beside it then look like it.

    Bold text is set in one family alone, by the weight that it has: matplotlib says a word of each
    family in which there is no such weight.
    """
    names = list(dict.fromkeys(name for name in (hangul_font(), *families()) if name))
    if not bold:
        return FontProperties(family=names, size=size)
    weights = [font.weight for font in fontManager.ttflist if font.name == names[0]]
    weight = max((w for w in weights if isinstance(w, int) and w <= 700), default=400)
    return FontProperties(family=names[:1], size=size, weight=weight)


@lru_cache(maxsize=1)
def _ruler() -> Any:
    figure = Figure(figsize=(1, 1), dpi=72 * FINE)
    return FigureCanvasAgg(figure).get_renderer()


@lru_cache(maxsize=20_000)
def width_of(text: str, size: float, bold: bool = False) -> float:
    """How wide a line of text is."""
    return _ruler().get_text_width_height_descent(text, font(size, bold), False)[0] / FINE


def wrapped(text: str, size: float, room: float, *, bold: bool = False) -> list[str]:
    """Text as lines of at most this width, broken at spaces; a long word anywhere."""
    lines, line = [], ""
    for word in text.split():
        longer = f"{line} {word}".strip()
        if width_of(longer, size, bold) <= room:
            line = longer
            continue
        lines += [line] if line else []
        while width_of(word, size, bold) > room and len(word) > 1:
            count = len(word) - 1
            while count > 1 and width_of(word[:count], size, bold) > room:
                count -= 1
            lines.append(word[:count])
            word = word[count:]
        line = word
    return [*lines, line] if line or not lines else lines


def cut(text: str, size: float, room: float) -> str:
    """A line that fits, without its end where it is too long."""
    while width_of(text, size) > room and len(text) > 2:
        text = text[:-2].rstrip() + "…"
    return text


def widths_of(rows: Sequence[Sequence[Cell]], size: float, room: float) -> list[float]:
    """Of a table's columns: as wide as their text, together as wide as the sheet at most."""
    columns = list(zip(*rows))
    natural = [max(width_of(c.text, size, c.bold) for c in own) + PADDING for own in columns]
    over = sum(natural) - room
    if over <= 0:
        return natural
    least = room / len(natural)
    wide = [max(0.0, width - least) for width in natural]
    return [width - over * w / sum(wide) for width, w in zip(natural, wide)]


def broken(row: Sequence[Cell], widths: Sequence[float], size: float) -> list[list[str]]:
    """The lines of each cell."""
    return [wrapped(c.text, size, w - 8, bold=c.bold) for c, w in zip(row, widths)]
