"""Where predictions are wrong: the pictures themselves, and counts by class or tooth."""

from __future__ import annotations

import numpy as np
import pandas as pd
from sklearn.metrics import precision_recall_fscore_support

from medkit.datasets.kinds import Threshold
from medkit.datasets.task import Task
from medkit.datasets.units import chosen, judged, truth
from medkit.images.decode import read_image
from medkit.inference.judging import choose_threshold
from medkit.naming import did_you_mean
from medkit.show.canvas import Picture, check_rows, count_mistakes, grid_of, short, styled
from medkit.show.photos import SIZE, show_photos, shrink
from medkit.show.structure import show_hypnogram
from medkit.show.teeth import tooth_table
from medkit.tables import visible

ORDERS = ("errors first", "as given")


def show_mistakes(
    task: Task,
    cases: pd.DataFrame,
    predictions: pd.DataFrame,
    *,
    threshold: Threshold = 0.5,
    n: int = 6,
    order: str = "errors first",
) -> Picture:
    """Pictures with truth and prediction, the surest mistakes first.

    Photos of teeth have them drawn on (`show_photos`), nights are hypnograms, other cases have
    them written above.

    Args:
        order: "errors first" or "as given".
    """
    if order not in ORDERS:
        raise ValueError(
            f"show_mistakes: order {order!r} (expected one of {', '.join(ORDERS)})."
            f"{did_you_mean(order, ORDERS)}"
        )
    if "photo" in cases:
        options = {"threshold": float(threshold), "n": n, "order": order}
        return show_photos(task, cases, predictions, **options)
    if "epoch" in cases and order == "as given":
        return show_hypnogram(task, cases, predictions)
    return _grid(task, cases, predictions, threshold, n, order)


@styled
def _grid(
    task: Task,
    cases: pd.DataFrame,
    predictions: pd.DataFrame,
    threshold: Threshold,
    n: int,
    order: str,
) -> Picture:
    check_rows(cases, "show_mistakes", ["id", "path"])
    units = judged(task, task.to_units(cases, predictions)).reset_index(drop=True)
    y_true, guess = truth(task, units), chosen(task, units, threshold)
    classes = task.scored.classes
    if classes:
        values = units[list(classes)].to_numpy(float)
        rows = np.arange(len(units))
        wrong_by = np.where(guess == y_true, -1.0, values[rows, guess] - values[rows, y_true])
    else:
        wrong_by = np.abs(guess - y_true)
    if order == "errors first":
        units = units.iloc[np.argsort(-wrong_by, kind="stable")]
    shown = units.head(n)
    by_id = cases.set_index("id")
    pictures = [_picture(by_id.loc[name]) for name in shown["id"]]
    title = f"{len(shown):,} of {len(units):,} cases"
    if order == "errors first":
        title += ", the farthest off first"
        if classes:
            title = count_mistakes(len(shown), int((guess != y_true).sum()), len(units), "cases")
    page, cells = grid_of([i.shape[1] / i.shape[0] for i in pictures], columns=4, title=title)
    for cell, image, (row, unit) in zip(cells, pictures, shown.iterrows()):
        cell.imshow(image)
        if classes:
            right = "rightly" if guess[row] == y_true[row] else "WRONGLY"
            prob = unit[classes[guess[row]]]
            text = f"{right} {classes[guess[row]]} ({prob:.2f})\ntruth: {classes[y_true[row]]}"
        else:
            text = f"predicted {guess[row]:.3g}\ntruth: {y_true[row]:.3g}"
        cell.set_title(f"{short(unit['id'])}\n{text}", fontsize=9)
    return page


def _picture(case: pd.Series) -> np.ndarray:
    """What of its picture a case is, small."""
    image = read_image(case["path"])
    box = case.get("box")
    if isinstance(box, (list, tuple, np.ndarray)):
        left, top, right, bottom = (int(value) for value in box)
        image = image[top:bottom, left:right]
    return shrink(image, SIZE // 2)


def mistake_table(
    task: Task,
    cases: pd.DataFrame,
    predictions: pd.DataFrame,
    *,
    threshold: Threshold = 0.5,
    tooth_threshold: float | None = None,
) -> pd.DataFrame:
    """How well each class is told, or each tooth number where teeth have one.

    Args:
        threshold: of what the contest scores. Of teeth it scores photos, by their largest tooth.
        tooth_threshold: from which a tooth is called decayed; by default the one that is best for
            these teeth: that of photos, for a largest of many, misses most of them.

    Returns:
        `class, cases, predicted, precision, recall, f1`, a row a class of what is scored; for teeth
        see `tooth_table`; for a number `low, high, cases, error`, by quarters of the true values.
    """
    if "tooth_number" in cases:
        if tooth_threshold is None:
            tooth_threshold = _of_teeth(task, cases, predictions)
        return tooth_table(cases, predictions, threshold=tooth_threshold)
    units = judged(task, task.to_units(cases, predictions))
    y_true, guess = truth(task, units), chosen(task, units, threshold)
    classes = task.scored.classes
    if not classes:
        errors = pd.DataFrame({"true": y_true, "error": np.abs(guess - y_true)})
        quarters = errors.groupby(pd.qcut(errors["true"], 4, duplicates="drop"), observed=True)
        table = quarters.agg(cases=("error", "size"), error=("error", "mean")).reset_index()
        table.insert(0, "low", [interval.left for interval in table["true"]])
        table.insert(1, "high", [interval.right for interval in table["true"]])
        return table.drop(columns="true")
    codes = range(len(classes))
    precision, recall, f1, support = precision_recall_fscore_support(
        y_true, guess, labels=codes, zero_division=0
    )
    counts = np.bincount(guess, minlength=len(classes))
    columns = {"class": classes, "cases": support, "predicted": counts}
    return pd.DataFrame({**columns, "precision": precision, "recall": recall, "f1": f1})


def _of_teeth(task: Task, cases: pd.DataFrame, predictions: pd.DataFrame) -> float:
    """The threshold that is best for teeth; any is, where all are of one class."""
    teeth = task.of_head(task.heads[0])
    cases = visible(cases)
    units = judged(teeth, teeth.to_units(cases, predictions))
    if units["y_true"].nunique() < 2:
        return 0.5
    return choose_threshold(teeth, cases, predictions, metric="f1_macro")
