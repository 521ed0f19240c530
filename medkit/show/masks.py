"""Masks in figures: their row of `show.kinds.SHOWN`, and how masks are drawn on a picture."""

from __future__ import annotations

from typing import Any, Mapping, Sequence

import cv2
import numpy as np
import pandas as pd
from matplotlib import patheffects
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch, PathPatch
from matplotlib.path import Path

from medkit.datasets.kinds import Threshold
from medkit.datasets.mask_units import mask_units
from medkit.datasets.task import Head, Task
from medkit.datasets.units import truth, values
from medkit.images import crop, crops, decode, masks, rle
from medkit.metrics import METRICS, SMOOTH
from medkit.show.canvas import (
    COLOURS,
    GREY,
    LINES,
    MARKERS,
    Picture,
    new_picture,
    percent,
    short,
)
from medkit.show.shown import Shown, quarters

FEW = 3  # classes that a small panel's legend names
BRIGHT = tuple(COLOURS[k] for k in (1, 4, 3, 2, 5, 0, 6))  # first what shows on grey and purple
NAMED = 8  # classes that a legend tells
FILL = 0.38  # how strongly a class colours a picture
FINE = 480  # pixels, up to which a small mask is enlarged before its outline is followed
EDGE = 0.6  # points, of the white edge around an outline
SIDE = 0.24  # inches of a class's line in a panel


class ShownMasks(Shown):
    """Masks of classes that may overlap."""

    beside = "show_dice"
    figures = (beside, "show_threshold", "show_reliability")
    row = "masks"
    in_mixture = "the masks drawn are each picture's own"

    def __init__(self, head: Head):
        super().__init__(head)
        self.classes = head.answer.classes
        self.height = max(2.0, 1.0 + SIDE * len(self.classes))
        self.has_legend = 1 < len(self.classes) <= NAMED
        is_one = len(self.classes) == 1
        self.so = f"really {self.classes[0]}" if is_one else "really of that class"
        self.said = f"a pixel being {self.classes[0]}" if is_one else "a pixel being of a class"

    def labels(self, task: Task, cases: pd.DataFrame) -> pd.DataFrame:
        """(cases, classes) the share of each picture that each class covers; missing without masks.

        Where classes overlap, what they share counts for each.
        """
        units = mask_units(task, cases)
        areas = units["y_true"].to_numpy(float).reshape(len(cases), len(self.classes))
        known = ~np.isnan(areas).any(axis=1)
        sizes = np.full(len(cases), np.nan)
        sizes[known] = [np.prod(decode.size(path)) for path in cases["path"][known]]
        return pd.DataFrame(areas / sizes[:, None], cases.index, list(self.classes))

    def word(self, label: Any) -> str:
        """Whether there are masks."""
        return "no masks" if pd.isna(label) else "masks"

    def told_of(self, task: Task, case: pd.Series) -> str:
        if pd.isna(case.get(self.name)):
            return self.word(None)
        shape, planes = task.read_masks(case)
        return self._shares([rle.area(planes[c]) / (shape[0] * shape[1]) for c in self.classes], 44)

    def _shares(self, shares: Sequence[float], most: int) -> str:
        """What covers how much of a picture; where that is too long, how many classes are there."""
        told = ", ".join(f"{n} {100 * share:.2g}%" for n, share in zip(self.classes, shares))
        if len(told) <= most:
            return told
        return f"{sum(share > 0 for share in shares)} of {len(shares)} classes"

    def overlay(self, cell: Axes, task: Task, case: pd.Series, shape: tuple[int, int]) -> None:
        """Fill and outline each class in its colour."""
        if not pd.isna(case.get(self.name)):
            self._draw(cell, shrunk(task, case, shape))

    def overlay_learnt(self, cell: Axes, label: np.ndarray) -> None:
        """The same of bits (S, S, ceil(classes / 8))."""
        planes = masks.unpacked(label, len(self.classes))
        self._draw(cell, {name: planes[..., k] for k, name in enumerate(self.classes)})

    def _draw(self, cell: Axes, planes: Mapping[str, np.ndarray]) -> None:
        colours = {name: mask_colour(k) for k, name in enumerate(self.classes)}
        cell.imshow(tinted(planes, colours))
        width = 1.3 if len(self.classes) <= NAMED else 0.9
        for name, plane in planes.items():
            trace(cell, plane, colours[name], width=width)

    def legend(self, page: Figure) -> None:
        """The classes' colours, where they are few."""
        if self.has_legend:
            parts = [Patch(color=mask_colour(k)) for k in range(len(self.classes))]
            names = [short(name, 18) for name in self.classes]
            columns = min(NAMED, len(names)) if sum(map(len, names)) < 80 else 4
            page.legend(parts, names, loc="outside lower center", ncols=columns, fontsize=9)

    def words_of(self, labels: np.ndarray) -> list[str]:
        planes = masks.unpacked(labels, len(self.classes))
        return [self._shares(list(plane.mean((0, 1))), 24) for plane in planes]

    @staticmethod
    def mixed(own: str, other: str, share: float) -> str:
        """Those that are drawn, and what share of the mixture they are."""
        return f"{share:.2f} of these masks"

    def parts(self, labels: pd.DataFrame) -> tuple[pd.Series, list[str]]:
        """By how much of the picture is covered, in quarters of all."""
        whole = labels.sum(axis=1, min_count=len(self.classes))
        known = whole.notna().to_numpy()
        place, ends = quarters(whole[known].to_numpy())
        texts = ([f"{100 * low:.3g}", f"{100 * high:.3g}"] for low, high in ends)
        names = np.array([" to ".join(dict.fromkeys(p)) + "% covered" for p in texts], dtype=object)
        words = pd.Series(None, labels.index, dtype=object)
        words[known] = names[place]
        return words, list(dict.fromkeys(names))

    def balance(self, axes: Axes, labels: pd.DataFrame) -> None:
        """A line a class: in how many images it is, and how much of these it covers."""
        known = labels.dropna()
        at = np.arange(len(self.classes))[::-1]
        for k, (y, name) in enumerate(zip(at, self.classes)):
            shares = known[name][known[name] > 0]
            told = f"in {len(shares):,} of {len(known):,} images"
            if len(shares):
                self._box(axes, y, shares, mask_colour(k))
                told += f", median {shares.median():.2%}"
            axes.annotate(
                told, (1.01, y), xycoords=("axes fraction", "data"), va="center", fontsize=9
            )
        axes.set_yticks(at, [short(name, 22) for name in self.classes])
        axes.set(ylim=(-0.7, len(at) - 0.3), xlim=(0, None))
        axes.grid(axis="x", color="#EEEEEE")
        axes.xaxis.set_major_formatter(percent)
        gone = len(labels) - len(known)
        text = "share of the picture that it covers: from least to most, the middle half thick"
        axes.set_xlabel(text + f" ({gone:,} images without masks)" * bool(gone))

    @staticmethod
    def _box(axes: Axes, y: float, shares: pd.Series, colour: str) -> None:
        """All values as a thin line, the middle half as a bar, their median as a dot."""
        low, first, middle, last, high = np.quantile(shares, [0, 0.25, 0.5, 0.75, 1])
        axes.plot([low, high], [y, y], color=colour, lw=1.2, solid_capstyle="butt")
        axes.plot([first, last], [y, y], color=colour, lw=7, alpha=0.55, solid_capstyle="butt")
        axes.plot(middle, y, "o", color=colour, ms=7, mec="white")

    def groups(self, axes: Axes, labels: pd.DataFrame, groups: pd.Series) -> None:
        """How much of its pictures each group's masks cover."""
        whole = labels.sum(axis=1, min_count=len(self.classes))
        means = whole.groupby(groups).mean().dropna()
        axes.hist(means, bins=min(30, 5 + len(means) // 4), color=COLOURS[0], edgecolor="white")
        axes.set(xlabel="mean share of a group's pictures that is covered", ylabel="groups")
        axes.xaxis.set_major_formatter(percent)

    def folds(self, axes: Axes, labels: pd.DataFrame, folds: pd.Series) -> None:
        """The mean share that each class covers in each fold, against that in all; of many classes
        the mean of these, and the whole spread.
        """
        names, at = sorted(folds.unique()), np.arange(folds.nunique())
        means = labels.groupby(folds).mean().reindex(names) / labels.mean()
        is_many = len(self.classes) > FEW
        if is_many:
            ends = means.mean(axis=1) - means.min(axis=1), means.max(axis=1) - means.mean(axis=1)
            axes.errorbar(
                at, means.mean(axis=1), yerr=np.array(ends), fmt="o", color=COLOURS[0], ms=8,
                mec="white", elinewidth=2, capsize=5, label=f"{len(self.classes)} classes, spread",
            )  # fmt: skip
        apart = np.linspace(-0.25, 0.25, len(self.classes)) if len(self.classes) > 1 else [0.0]
        for k, (name, shift) in enumerate(zip(self.classes, apart)) if not is_many else ():
            look = {"color": mask_colour(k), "mec": "white", "ls": "none"}
            marker = MARKERS[k % len(MARKERS)]
            size = 8 if len(self.classes) <= NAMED else 5
            axes.plot(at + shift, means[name], marker, ms=size, label=short(name, 14), **look)
        axes.axhline(1, color=GREY, ls="--", lw=1, label="all folds")
        axes.set_ylim(0, max(2.0, 1.35 * np.nanmax([1, *means.to_numpy().ravel()])))
        axes.yaxis.set_major_formatter(percent)
        axes.legend(loc="upper right", fontsize=9)
        axes.set_title("covered, beside all folds")

    def threshold(self, task: Task, rows: pd.DataFrame, threshold: Threshold) -> Picture:
        """Dice over the threshold, its mean and that of the classes, and what each one chose."""
        every, areas = values(task, rows), truth(task, rows)
        cuts = np.arange(1, crops.LEVELS)
        at = (cuts - 0.5) / (crops.LEVELS - 1)
        page = new_picture(4.2)
        axes = page.subplots(1, 1)
        curves = np.full((len(self.classes), len(cuts)), np.nan)
        for k in range(len(self.classes)):
            own = every[every[:, 0] == k].astype(float)
            if len(own):
                true = areas[every[:, 0] == k][:, None]
                found = own[:, 1 + cuts], own[:, 1 + crops.LEVELS + cuts]
                curves[k] = dice_of(true, *found).mean(0)
        count = np.bincount(every[:, 0].astype(int), minlength=len(self.classes))
        chosen = np.array(self.answer.thresholds(threshold))
        if len(self.classes) > 1:
            mean = np.nansum(curves * count[:, None], 0) / count.sum()
            before = METRICS["dice"](areas, self.answer.chosen(every, 0.5))
            here = METRICS["dice"](areas, self.answer.chosen(every, threshold))
            text = f"mean: {before:.3f} at 0.5, {here:.3f} at the thresholds"
            axes.plot(at, mean, color="black", lw=2.6, label=text)
        shown = self._shown(curves, chosen)
        for k in range(len(self.classes)):
            look = {"color": mask_colour(k), "ls": LINES[k % len(LINES)]}
            is_shown = k in shown
            here = curves[k][crops.cut_of(chosen[k]) - 1]
            text = f"{short(self.classes[k], 18)}: {here:.3f} at {chosen[k]:.3g}"
            axes.plot(
                at, curves[k], lw=1.6 if is_shown else 0.6, alpha=1 if is_shown else 0.45,
                label=text if is_shown else None, **look,
            )  # fmt: skip
            axes.plot(
                chosen[k], here, "o", color=look["color"], ms=8 if is_shown else 4, mec="white"
            )
        hidden = len(self.classes) - len(shown)
        noun = f"of {len(rows):,} masks" + f" ({hidden} classes more are thin lines)" * bool(hidden)
        axes.set(xlim=(0, 1), ylim=(0, 1.02), xlabel="threshold (dots: the one that is taken)")
        axes.set_title(f"Dice {noun}")
        axes.grid(color="#EEEEEE")
        page.legend(*axes.get_legend_handles_labels(), loc="outside right upper", fontsize=9)
        return page

    @staticmethod
    def _shown(curves: np.ndarray, chosen: np.ndarray) -> list[int]:
        """The classes that a legend names: all, or those that are worst at their thresholds."""
        if len(curves) <= NAMED:
            return list(range(len(curves)))
        here = [curve[crops.cut_of(cut) - 1] for curve, cut in zip(curves, chosen)]
        return sorted(np.argsort(here, kind="stable")[:NAMED].tolist())

    def bright(self, name: str) -> str:
        return f"Bright: where the model sees {name}; the brighter, the surer it is."

    def foretold_by(self, name: str) -> str:
        return "file"

    def foretold(self, name: str, value: Any) -> str:
        return ""

    def noun(self, task: Task) -> str:
        return "pixels"


def mask_colour(position: int) -> str:
    """A class's colour, the same in every figure; those next to each other differ."""
    return BRIGHT[position % len(BRIGHT)]


def dice_of(true: np.ndarray, area: np.ndarray, overlap: np.ndarray) -> np.ndarray:
    """Dice of each mask, as `METRICS["dice"]` reckons it."""
    return (2 * overlap + SMOOTH) / (true + area + SMOOTH)


def shrunk(task: Task, case: pd.Series, shape: tuple[int, int]) -> dict[str, np.ndarray]:
    """(H, W) uint8 of 0 and 1 by class: a case's true masks, where its picture is shown."""
    size, planes = task.read_masks(case)
    return {name: fitted(planes[name], size, shape) for name in task.scored.classes}


def fitted(runs: rle.Runs, size: tuple[int, int], shape: tuple[int, int]) -> np.ndarray:
    """A mask of a picture of some height and width, where it is shown with another."""
    if not len(runs):
        return np.zeros(shape, np.uint8)
    mask = rle.to_mask(runs, size)
    if tuple(size) == tuple(shape):
        return mask
    return (crop.resize_to(255 * mask, (shape[1], shape[0])) >= masks.HALF).astype(np.uint8)


def tinted(planes: Mapping[str, np.ndarray], colours: Mapping[str, str]) -> np.ndarray:
    """(H, W, 4) float: a layer to lay over a picture, in the mean colour of a pixel's classes."""
    some = next(iter(planes.values()))
    total, count = np.zeros((*some.shape, 3)), np.zeros(some.shape)
    for name, plane in planes.items():
        inside = plane > 0
        total[inside] += to_rgb(colours[name])
        count += inside
    layer = np.zeros((*some.shape, 4))
    layer[..., :3] = total / np.maximum(count, 1)[..., None]
    layer[..., 3] = FILL * (count > 0)
    return layer


def trace(cell: Axes, plane: np.ndarray, colour: str, *, width: float, style: Any = "-") -> None:
    """The outline of a mask, with a thin white edge, so that it shows on any picture."""
    factor = max(1, FINE // max(plane.shape))
    fine = np.ascontiguousarray(np.kron(plane, np.ones((factor, factor), np.uint8)))
    lines, _ = cv2.findContours(fine, cv2.RETR_CCOMP, cv2.CHAIN_APPROX_NONE)
    paths = []
    for line in lines:
        points = (line[:, 0].astype(float) + 0.5) / factor - 0.5
        points = np.concatenate([points, points[:1]])
        codes = [Path.MOVETO] + [Path.LINETO] * (len(points) - 2) + [Path.CLOSEPOLY]
        paths.append(Path(points, codes))
    if paths:
        edge = patheffects.withStroke(linewidth=width + EDGE, foreground="white", alpha=0.6)
        whole = Path.make_compound_path(*paths)
        look = {"fill": False, "ec": colour, "lw": width, "ls": style, "path_effects": [edge]}
        cell.add_patch(PathPatch(whole, **look))


def line_of(colour: str, style: Any) -> Line2D:
    """An outline in a legend."""
    return Line2D([], [], color=colour, ls=style, lw=1.8)
