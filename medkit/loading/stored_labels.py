"""True masks as they lie beside decoded pictures: bits, written once."""

from __future__ import annotations

import inspect
import json
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pandas as pd

from medkit import machine, tables
from medkit.datasets.kinds import MASKS
from medkit.datasets.task import Task
from medkit.errors import DataError
from medkit.images import masks
from medkit.progress import track


class StoredLabels:
    """The masks of cases, as they become bits.

    Raises:
        DataError: cases that are parts of pictures.
    """

    def __init__(self, task: Task, cases: pd.DataFrame, size: int):
        if tables.part_column(cases):
            raise DataError(
                f"cases: masks of parts of pictures (a column {tables.part_column(cases)!r}) are "
                "not possible (expected whole ones). Cut the pictures out, or drop the column."
            )
        self.task, self.cases, self.size = task, cases, size
        self.classes = task.scored.classes
        self.depth = masks.bytes_of(len(self.classes))
        self.never = list(self.classes)
        facts = {"classes": self.classes, "files": repr(task.mask_files), "depth": self.depth}
        facts.update(layout=[task.layout.order, task.layout.base], reader=_source(task))
        tables.check_columns("cases with masks", cases, ["masks_sha"])
        self.key = json.dumps([facts, list(cases["masks_sha"])])

    def build(self, path: Path, progress: bool) -> None:
        """Write all rows.

        Raises:
            DataError: naming masks that cannot be read, or that have changed.
        """
        broken: list[str] = []
        rows = self.cases.to_dict("records")

        def bits(case: dict[str, Any]) -> bytes:
            try:
                shape, planes = self.task.read_masks(case)
                self.task.scored.answer.check_planes(planes)
            except (OSError, ValueError) as error:
                name = "" if str(case[MASKS]) in str(error) else f"{case[MASKS]}: "
                broken.append(f"{name}{error}".rstrip("."))
                return b""
            self.never = [name for name in self.never if not len(planes[name])]
            return masks.to_bits([planes[n] for n in self.classes], shape, self.size).tobytes()

        with open(path, "xb") as file, ThreadPoolExecutor(machine.cores()) as pool:
            done = pool.map(bits, rows)
            for row in track(done, "labels", total=len(rows), enabled=progress):
                file.write(row)
            file.flush()
            os.fsync(file.fileno())
        if broken:
            raise DataError(
                f"{len(broken)} of {len(rows)} cases have masks that cannot be used: "
                f"{'; '.join(sorted(broken)[:3])}. Correct these files, or leave the cases out."
            )


def _source(task: Task) -> str:
    """What a task's own reader of masks is made of; "" for the usual one."""
    function = task.own.get("read_masks")
    try:
        return "" if function is None else inspect.getsource(function)
    except (OSError, TypeError):  # it was typed somewhere that is not kept
        code = getattr(function, "__code__", None)
        return repr(function) if code is None else f"{code.co_code!r} {code.co_consts!r}"
