"""A font that has Hangul, from the system or from the package koreanize-matplotlib.

That package is located and not imported: its import fails on Python 3.12 and later, and it would
change the settings of every figure of the notebook.
"""

from __future__ import annotations

import functools
import importlib.util
import warnings
from pathlib import Path

from matplotlib import font_manager

INSTALLED = (
    "NanumGothic",
    "NanumBarunGothic",
    "Noto Sans CJK KR",
    "Noto Sans KR",
    "Noto Sans CJK JP",  # the same file under its first name; it has Hangul too
    "Malgun Gothic",
    "Apple SD Gothic Neo",
    "AppleGothic",
    "UnDotum",
)
PACKAGE = "koreanize_matplotlib"


@functools.lru_cache(maxsize=1)
def families() -> tuple[str, ...]:
    """Font families to try in order, glyph by glyph: matplotlib's own, then one with Hangul.

    Its own comes first: mathematics, such as the exponents of a logarithmic axis, is set in the
    first family alone, and NanumGothic has no minus sign for it. Warns once when none has Hangul,
    which then shows as empty boxes.
    """
    found = hangul_font()
    if found is None:
        warnings.warn(
            "figures: no font with Hangul was found, so it will show as boxes. "
            "Install one with %pip install koreanize-matplotlib, then restart the kernel.",
            stacklevel=3,
        )
        return ("DejaVu Sans",)
    return ("DejaVu Sans", found)


def hangul_font() -> str | None:
    """The family that has Hangul; None where there is none."""
    known = {font.name for font in font_manager.fontManager.ttflist}
    return next((name for name in INSTALLED if name in known), None) or _packaged()


def lacking(text: str) -> str:
    """The characters of a text that no font here can draw, each once, in their order."""
    names = ("DejaVu Sans", hangul_font())
    paths = [font_manager.findfont(name) for name in names if name]
    fonts = [font_manager.get_font(path) for path in paths]
    seen = dict.fromkeys(c for c in text if not c.isspace())
    return "".join(c for c in seen if not any(font.get_char_index(ord(c)) for font in fonts))


def _packaged() -> str | None:
    """The family of the font files inside the package, made known to matplotlib."""
    spec = importlib.util.find_spec(PACKAGE)
    folders = spec.submodule_search_locations if spec is not None else None
    files = [path for folder in folders or () for path in Path(folder).rglob("NanumGothic*.ttf")]
    for path in sorted(files):
        if path.stem in ("NanumGothic", "NanumGothicBold"):
            font_manager.fontManager.addfont(str(path))
    return "NanumGothic" if any(path.stem == "NanumGothic" for path in files) else None
