"""Bring the code of the English notebooks into the Korean ones; their prose stays.

    python tools/sync_korean.py

Cells belong together by their id. A prose cell that has no Korean yet comes in English, and
tests/test_korean.py names it.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from medkit import files

NOTEBOOKS = Path(__file__).resolve().parent.parent / "notebooks"


def synced(english: dict[str, Any], korean: dict[str, Any]) -> dict[str, Any]:
    """The English notebook, with the prose of the Korean one where that has some."""
    prose = {c["id"]: c for c in korean.get("cells", []) if c["cell_type"] == "markdown"}
    cells = [
        prose.get(cell["id"], cell) if cell["cell_type"] == "markdown" else cell
        for cell in english["cells"]
    ]
    return {**english, "cells": cells}


def sync(path: Path, twin: Path) -> bool:
    """Write the Korean twin of an English notebook anew; returns whether that changed it."""
    before = twin.read_text(encoding="utf-8") if twin.is_file() else "{}"
    made = synced(json.loads(path.read_text(encoding="utf-8")), json.loads(before))
    text = json.dumps(made, indent=1, ensure_ascii=False) + "\n"
    files.write_whole(twin, text)
    return text != before


def main() -> None:
    for path in sorted(NOTEBOOKS.glob("[0-9]*.ipynb")):
        twin = path.parent / "ko" / path.name
        print(f"ko/{path.name}: {'synced' if sync(path, twin) else 'nothing new'}")


if __name__ == "__main__":
    main()
