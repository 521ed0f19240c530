"""What becomes of the logits of masks: crops of probabilities, written one image at a time."""

from __future__ import annotations

import errno
import hashlib
import re
import shutil
from contextlib import suppress
from pathlib import Path
from typing import Callable, Sequence

import numpy as np
import pandas as pd
import torch

from medkit import files
from medkit.datasets.task import Task
from medkit.errors import ConfigError, PlaceError
from medkit.images import crop, crops, decode

LEAST = 4  # of 255, a level that is kept: what is less (1.6 %) makes boxes five times as large
MARK = "key.txt"  # in a folder of masks: of what has written them
STRIP = 128  # rows of an image, of which probabilities are reckoned at once
SURE = crops.LEVELS - 1  # the level of a probability of 1
APART = SURE - 1  # that of certainty, where one class a pixel is chosen: see `ExclusiveMasks`


class Masks:
    """The answers of some cases as files, of which nothing is kept in memory.

    Args:
        cases: in the order in which their logits come.
        plain: (logits, labels) of one image -> its loss.
        folder: where the files are written; None writes none.
    """

    def __init__(
        self,
        task: Task,
        cases: pd.DataFrame,
        *,
        plain: Callable[[torch.Tensor, torch.Tensor], torch.Tensor] | None = None,
        folder: Path | None = None,
    ):
        self.task, self.folder, self._plain = task, folder, plain
        self._cases = list(zip(cases["id"], cases["path"]))
        self._losses: list[torch.Tensor] = []
        self._done = 0
        if folder is not None:
            files.make_folder(folder)

    def add(self, logits: torch.Tensor, labels: torch.Tensor) -> None:
        """Take in a batch: logits (N, outputs, S, S), on any device, and labels as bits.

        The loss is reckoned image by image, so that it does not depend on how many come at once.
        """
        for row in range(len(logits)):
            own = logits[row : row + 1]
            if self._plain is not None:
                known = labels[row : row + 1].to(logits.device)
                self._losses.append(self._plain(own, known).double().cpu())
            if self.folder is not None:
                strips = own.split(STRIP, dim=2)  # whose floats take a part of the memory
                levels = torch.cat([self.levels(strip)[0] for strip in strips], 1)
                levels.masked_fill_(levels < LEAST, 0)
                self._write(*self._cases[self._done], levels)
            self._done += 1

    @staticmethod
    def levels(logits: torch.Tensor) -> torch.Tensor:
        """(N, classes, S, S) uint8 of (N, outputs, S, S), where the logits lie."""
        return (torch.sigmoid(logits.float()) * SURE).round().to(torch.uint8)

    def _write(self, id: str, path: str, levels: torch.Tensor) -> None:
        width, height = decode.size(path)
        x, y, w, h = crop.place_in_square(width, height, levels.shape[-1])
        planes = levels[:, y : y + h, x : x + w].cpu().numpy()
        found = crops.cropped(id, planes, (height, width), self.task.scored.classes)
        found.write(self.folder / file_name(id))
        if not self._done:
            self._check_room((self.folder / file_name(id)).stat().st_size)

    def _check_room(self, size: int) -> None:
        """Refuse to go on, after the first image, where the disk cannot hold them all.

        Raises:
            PlaceError: telling how much is needed and how much is there.
        """
        left = len(self._cases) - 1
        free = shutil.disk_usage(self.folder).free
        if left * size > free:
            raise PlaceError(
                errno.ENOSPC,
                f"{self.folder}: the masks of {left} more images need about "
                f"{left * size / 1e9:.2f} GB ({size / 1e6:.1f} MB of the first one), and the disk "
                f"has {free / 1e9:.2f} GB left. Make room, or take a folder on another disk; a "
                "model that has learnt little needs more than a good one.",
            )

    @staticmethod
    def begin(task: Task, ids: Sequence[str], folder: Path, key: str) -> np.ndarray:
        """Whose files an earlier call of the same key has written; those of others are removed."""
        if folder.exists() and not folder.is_dir():
            raise ConfigError(f"predict: {folder} is a file (expected a folder). Pass another.")
        mark, places = folder / MARK, [folder / file_name(id) for id in ids]
        if mark.is_file() and mark.read_text(encoding="utf-8") == key:
            return np.array([_is_whole(task, *each) for each in zip(ids, places)])
        for place in places:
            with suppress(FileNotFoundError):
                place.unlink()
        files.write_whole(mark, key)
        return np.zeros(len(ids), bool)

    def gather(self, gather: Callable[[torch.Tensor], Sequence[torch.Tensor]]) -> None:
        """Take in what other processes have: their losses; their files lie in the same folder."""
        self._losses = list(torch.cat(list(gather(torch.stack(self._losses)))))

    def loss(self) -> float:
        """The mean of the images' losses."""
        return float(torch.stack(self._losses).mean())

    @staticmethod
    def nothing(task: Task, ids: Sequence[str]) -> pd.DataFrame:
        return pd.DataFrame({"id": list(ids), "file": pd.Series([None] * len(ids), dtype=object)})

    def predictions(self, ids: Sequence[str]) -> pd.DataFrame:
        """`id`, `file`, the place of its crops, and `file_sha`, what that place holds now."""
        return table_of(ids, [str((self.folder / file_name(id)).absolute()) for id in ids])


def table_of(ids: Sequence[str], places: Sequence[str]) -> pd.DataFrame:
    """Predictions whose answers lie in files."""
    columns = {"file": list(places), "file_sha": [crops.sha_of(place) for place in places]}
    columns = {name: pd.Series(cells, dtype=object) for name, cells in columns.items()}
    return pd.DataFrame({"id": list(ids), **columns})


def _is_whole(task: Task, id: str, place: Path) -> bool:
    try:
        crops.read(place, id=id, classes=task.scored.classes)
    except (FileNotFoundError, ValueError):
        return False
    return True


def disown(folder: Path) -> None:
    """Let no prediction go on with what lies in a folder, into which others write now."""
    with suppress(FileNotFoundError):
        (folder / MARK).unlink()


def file_name(id: str) -> str:
    """A name for the file of a case that no other has: readable, and safe on any disk."""
    readable = re.sub(r"[^\w.-]+", "_", str(id))[-60:]
    return f"{readable}-{hashlib.sha256(str(id).encode()).hexdigest()[:8]}.safetensors"


class ExclusiveMasks(Masks):
    """Of masks of which a pixel is in one at most.

    A level is how sure a class is against the strongest of the others, none of them included: above
    one half in the likeliest class alone. Two levels of a pixel add up to 254 at most, and so they
    do between pixels: from a cut of one half on no pixel is in two masks, at any size.
    """

    @staticmethod
    def levels(logits: torch.Tensor) -> torch.Tensor:
        logits = logits.float()
        best = logits.topk(2, dim=1).values  # (N, 2, S, S)
        rival = torch.where(logits == best[:, :1], best[:, 1:], best[:, :1])
        return (torch.sigmoid(logits - rival) * APART).round().to(torch.uint8)[:, 1:]


class Overlapping:
    """Of masks that may overlap: each by itself."""

    collect = Masks

    @staticmethod
    def of(logits: torch.Tensor, temperature: float = 1.0) -> torch.Tensor:
        """(N, classes, S, S): probabilities."""
        return torch.sigmoid(logits / temperature)


class Exclusive:
    """Of masks of which a pixel is in one at most: all against each other."""

    collect = ExclusiveMasks

    @staticmethod
    def of(logits: torch.Tensor, temperature: float = 1.0) -> torch.Tensor:
        """(N, 1 + classes, S, S): probabilities, those of none of the classes first."""
        return torch.softmax(logits / temperature, 1)
