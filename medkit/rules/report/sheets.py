"""Sheets of A4 that fill from top to bottom: headings, paragraphs, tables and figures; as a PDF.

Text stays text, in figures too: a figure is drawn onto its sheet, smaller, and not as a picture of
itself. Distances are points (1/72 inch), counted from the upper left corner.
"""

from __future__ import annotations

import io
import logging
from typing import Any, Sequence

from matplotlib.backends.backend_pdf import PdfPages
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.text import Text

from medkit.errors import ConfigError
from medkit.rules.report.lettering import INK, SOFT, Cell, broken, cut, font, widths_of, wrapped
from medkit.rules.report.placing import Placed
from medkit.show.canvas import look

WIDTH, HEIGHT = 595.28, 841.89  # A4
LEFT, RIGHT, TOP, BOTTOM = 57.0, WIDTH - 57.0, 54.0, HEIGHT - 62.0
ROOM = RIGHT - LEFT
MOST = 10  # sheets, as the contest's rules have it
RULE, ACCENT, BAND = "#D5DAE1", "#0B4F8A", "#F1F5F9"
BODY, SMALL, FOOT = 9.2, 7.8, 7.2  # sizes of text
LINE, TIGHT = 1.5, 1.42  # of a line of text and of a table, in sizes of their text
HEADING, ABOVE = 25.0, 13.0  # of a section's name, and above it
WHOLE, SIDE = 8, 20  # rows of a table that is never broken, and of one with a figure beside it
NARROW = 0.5  # the share of a sheet's width beyond which a table has no figure at its side
SCALE = 0.68  # of a figure, at most: its text is then a little smaller than that of tables
LEAST = 0.85  # to which share of that a figure is made smaller before it takes the next sheet
DPI = 105  # of pixels in figures; on the sheet, after SCALE, some 150
FONTS = {"pdf.fonttype": 42}  # by default Hangul could not be copied


class Sheets:
    """What is added stands below what was added before.

    Args:
        footer: stands at the foot of each sheet, beside its number.
        figure: what stands before a figure's caption, as "Figure {}. ".
        advice: what to do where it takes more than MOST of them.
    """

    def __init__(self, footer: str, figure: str, advice: str):
        self.footer, self.figure, self.advice = footer, figure, advice
        self.pages: list[Figure] = []
        self.count = 0  # of figures
        self._heading = ""  # that waits for what stands below it
        self.next_sheet()

    def next_sheet(self) -> None:
        """Begin a new one.

        Raises:
            ConfigError: it is one too many.
        """
        if len(self.pages) == MOST:
            raise ConfigError(
                f"report: it is longer than {MOST} pages (expected 1 to {MOST}). {self.advice}"
            )
        self.pages.append(Figure(figsize=(WIDTH / 72, HEIGHT / 72), facecolor="white"))
        self.y = TOP

    @property
    def left(self) -> float:
        """What is left of the sheet."""
        return BOTTOM - self.y

    def take(self, height: float) -> float:
        """The upper end of a stretch of this height, on the next sheet where this one is full.

        Below a heading, if one waits for it: none stands alone at the foot of a sheet.
        """
        wanted = height + HEADING + ABOVE if self._heading else height
        if wanted > self.left and self.y > TOP:
            self.next_sheet()
        if self._heading:
            self._write_heading()
        top, self.y = self.y, self.y + height
        return top

    def fits(self, height: float) -> bool:
        """Whether there is room for a stretch of this height before the last sheet ends."""
        return height <= self.left or len(self.pages) < MOST

    def wasted(self, figure: Figure) -> float:
        """Which share of the sheet stays empty when a figure is added now."""
        width, height = 72 * figure.get_size_inches()
        least = LEAST * min(SCALE, ROOM / width, (BOTTOM - TOP - 90) / height)
        return 0.0 if least * height + 60 <= self.left else self.left / (BOTTOM - TOP)

    def keep(self, height: float) -> None:
        """Begin the next sheet where less than this height is left."""
        self.take(height)
        self.y -= height

    def space(self, height: float) -> None:
        """Leave some room, unless the sheet has just begun."""
        if self.y > TOP:
            self.y += height

    def write(self, x: float, y: float, text: str, size: float = BODY, **how: Any) -> None:
        """A line of text whose upper end is at y.

        Args:
            how: `colour`, `bold`, and `ha` ("left" or "right" of x).
        """
        self._write(self.pages[-1], x, y + 1.12 * size, text, size, **how)

    def _write(
        self,
        page: Figure,
        x: float,
        base: float,
        text: str,
        size: float,
        *,
        colour: str = INK,
        bold: bool = False,
        ha: str = "left",
    ) -> None:
        """All that a sheet holds has one zorder: it is drawn, and read, as it was added."""
        line = Text(
            x / WIDTH, 1 - base / HEIGHT, text, color=colour, ha=ha, va="baseline", zorder=0,
            fontproperties=font(size, bold), parse_math=False,
        )  # fmt: skip
        page.add_artist(line)

    def box(self, x: float, y: float, width: float, height: float, colour: str) -> None:
        """A filled rectangle; a thin one is a line."""
        page, at = self.pages[-1], (x / WIDTH, 1 - (y + height) / HEIGHT)
        page.add_artist(
            Rectangle(at, width / WIDTH, height / HEIGHT, fc=colour, lw=0, zorder=-1)
        ).set_transform(page.transFigure)

    def title(self, over: str, title: str, under: str) -> None:
        """What the first sheet begins with."""
        self.box(LEFT, self.y, 34, 3.2, ACCENT)
        self.y += 13
        for text, size, how in (
            (over, 9.5, {"colour": SOFT}),
            (title, 21, {"bold": True}),
            (under, 10.5, {"colour": SOFT}),
        ):
            for line in wrapped(text, size, ROOM, bold=how.get("bold", False)):
                self.write(LEFT, self.y, line, size, **how)
                self.y += size * 1.42
        self.y += 6

    def band(self, numbers: Sequence[tuple[str, str, str]]) -> None:
        """Some numbers that are seen first: (what, how much, a word on it) each."""
        gap, height = 9.0, 52.0
        width = (ROOM - gap * (len(numbers) - 1)) / len(numbers)
        top = self.take(height + 10)
        for k, (name, number, word) in enumerate(numbers):
            x = LEFT + k * (width + gap)
            self.box(x, top, width, height, BAND)
            inner = width - 18
            self.write(x + 9, top + 6.5, cut(name, SMALL, inner), SMALL, colour=SOFT)
            self.write(x + 9, top + 17.5, cut(number, 15, inner), 15, bold=True, colour=ACCENT)
            self.write(x + 9, top + 37, cut(word, FOOT, inner), FOOT, colour=SOFT)

    def heading(self, text: str) -> None:
        """A section's name, above what is added next."""
        self._heading = text

    def _write_heading(self) -> None:
        text, self._heading = self._heading, ""
        self.space(ABOVE)
        self.write(LEFT, self.y, text, 12.5, bold=True, colour=ACCENT)
        self.box(LEFT, self.y + 19.5, ROOM, 0.7, RULE)
        self.y += HEADING

    def paragraph(self, text: str, keep: float = 0.0) -> None:
        """Text, broken into lines, and where it has line ends itself.

        Args:
            keep: how much of what follows must stand on the same sheet.
        """
        lines = [line for part in text.splitlines() for line in wrapped(part, BODY, ROOM)]
        self.keep(BODY * LINE * min(3, len(lines)) + keep)
        for line in lines:
            self.write(LEFT, self.take(BODY * LINE), line)
        self.y += 4.5

    def facts(self, pairs: Sequence[tuple[str, str]]) -> None:
        """Names and what they are, in two columns; what is long takes a row for itself."""
        label, half = 84.0, ROOM / 2
        room = half - label - 10
        rows: list[list[tuple[str, str]]] = []
        is_open = False  # whether the last row has room for one more
        for pair in pairs:
            is_short = len(wrapped(pair[1], SMALL, room)) <= 2
            if is_short and is_open:
                rows[-1].append(pair)
            else:
                rows.append([pair])
            is_open = is_short and not is_open
        for row in rows:
            inner = room if len(row) == 2 else ROOM - label - 10
            names = [wrapped(name, SMALL, label - 8) for name, _ in row]
            texts = [wrapped(value, SMALL, inner) for _, value in row]
            top = self.take(max(map(len, [*texts, *names])) * SMALL * TIGHT + 3.6)
            for k, (name, lines) in enumerate(zip(names, texts)):
                for n, line in enumerate(name):
                    y = top + n * SMALL * TIGHT
                    self.write(LEFT + k * half, y, line, SMALL, colour=SOFT)
                for n, line in enumerate(lines):
                    self.write(LEFT + k * half + label, top + n * SMALL * TIGHT, line, SMALL)
            self.box(LEFT, self.y - 1.8, ROOM, 0.4, RULE)
            self.y += 1.4
        self.y += 4

    def table(
        self,
        names: Sequence[str],
        rows: Sequence[Sequence[Any]],
        *,
        right: Sequence[int] = (),
        beside: Figure | None = None,
        caption: str = "",
        keep: float = 0.0,
    ) -> None:
        """A table; a row that does not fit begins the next sheet, below the names again.

        Args:
            rows: of texts and `Cell`s.
            right: the columns that end at the right, as numbers do.
            beside: a figure, at the right of the table where that leaves room, else below it.
            caption: of this figure.
            keep: how much of what follows must stand on the same sheet.
        """
        rows = [[c if isinstance(c, Cell) else Cell(str(c)) for c in row] for row in rows]
        head = [Cell(name, SOFT, True) for name in names]
        widths = widths_of([head, *rows], SMALL, ROOM)
        lines = [broken(row, widths, SMALL) for row in [head, *rows]]
        heights = [max(map(len, own)) * SMALL * TIGHT + 5.0 for own in lines]
        is_beside = beside is not None and sum(widths) < NARROW * ROOM and len(rows) <= SIDE
        if is_beside:
            size = (72 * beside.get_size_inches()[1]) * SCALE + 24
            self.keep(max(sum(heights), size))
        else:
            self.keep(sum(heights if len(rows) <= WHOLE else heights[:4]) + keep)
        top = self.y
        for k, row in enumerate([head, *rows]):
            if k and self.left < heights[k]:
                self.next_sheet()
                self._row(head, lines[0], self.take(heights[0]), widths, right)
            self._row(row, lines[k], self.take(heights[k]), widths, right)
        self.y += 6
        if is_beside:
            x = LEFT + sum(widths) + 16
            self.y = max(self.y, self._place(beside, x, top, RIGHT - x, caption))
        elif beside is not None:
            self.figures(beside, caption=caption)

    def _row(
        self,
        row: Sequence[Cell],
        lines: Sequence[Sequence[str]],
        top: float,
        widths: Sequence[float],
        right: Sequence[int],
    ) -> None:
        x, is_head = LEFT, row[0].bold
        self.box(
            LEFT, self.y - 1.5, sum(widths), 0.8 if is_head else 0.4, SOFT if is_head else RULE
        )
        for k, (cell, width) in enumerate(zip(row, widths)):
            at, ha = (x + width - 6, "right") if k in right else (x + 2, "left")
            how = {"colour": cell.colour, "bold": cell.bold, "ha": ha}
            for n, line in enumerate(lines[k]):
                self.write(at, top + 1 + n * SMALL * TIGHT, line, SMALL, **how)
            x += width

    def figures(
        self, *figures: Figure, caption: str = "", scale: float = SCALE, least: float = LEAST
    ) -> None:
        """Figures side by side, all by one scale, and words below them.

        Args:
            least: to which share of the scale they are made smaller, for what is left of a sheet.
        """
        gap = 12.0
        sizes = [72 * figure.get_size_inches() for figure in figures]
        room = ROOM - gap * (len(figures) - 1)
        lines = self._caption(caption, ROOM)
        words = len(lines) * SMALL * TIGHT + 9
        tall, wide = max(height for _, height in sizes), sum(width for width, _ in sizes)
        above = HEADING + ABOVE if self._heading else 0.0
        scale = min(scale, room / wide, (BOTTOM - TOP - words - above) / tall)
        fitting = (self.left - words - above - 0.1) / tall
        if least * scale <= fitting < scale:
            scale = fitting
        top = self.take(scale * tall + words)
        x = LEFT + (room - scale * wide) / 2
        for figure, (width, height) in zip(figures, sizes):
            low = HEIGHT - top - scale * height
            self.pages[-1].add_artist(Placed(figure, x, low, scale))
            x += scale * width + gap
        for n, line in enumerate(lines):
            y = top + scale * tall + 2 + n * SMALL * TIGHT
            self.write(LEFT, y, line, SMALL, colour=SOFT)

    def _place(self, figure: Figure, x: float, top: float, room: float, caption: str) -> float:
        """Draw a figure into some room, laid out anew for it; the lower end of its caption."""
        height = figure.get_size_inches()[1]
        figure.set_size_inches(room / 72 / SCALE, height)
        low = top + 72 * height * SCALE
        self.pages[-1].add_artist(Placed(figure, x, HEIGHT - low, SCALE))
        lines = self._caption(caption, room)
        for n, line in enumerate(lines):
            self.write(x, low + 2 + n * SMALL * TIGHT, line, SMALL, colour=SOFT)
        return low + len(lines) * SMALL * TIGHT + 9

    def _caption(self, caption: str, room: float) -> list[str]:
        self.count += 1
        return wrapped(self.figure.format(self.count) + caption, SMALL, room)

    def pdf(self, **facts: str) -> bytes:
        """All sheets as a PDF; the same bytes each time.

        Args:
            facts: of the file, such as `Title`.
        """
        buffer, count = io.BytesIO(), len(self.pages)
        base = HEIGHT - 34
        for number, page in enumerate(self.pages, 1):
            self._write(page, LEFT, base, self.footer, FOOT, colour=SOFT)
            self._write(page, RIGHT, base, f"{number} / {count}", FOOT, colour=SOFT, ha="right")
        logging.getLogger("fontTools.subset").setLevel(logging.ERROR)  # it tells of odd tables
        with look(**FONTS), PdfPages(buffer, metadata={**facts, "CreationDate": None}) as pdf:
            for page in self.pages:
                pdf.savefig(page, dpi=DPI)
        return buffer.getvalue()
