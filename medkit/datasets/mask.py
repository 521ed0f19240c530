"""Face masks: boostcamp AI Tech's 18 classes, which are three questions in one.

Each person has a folder of seven photos. `ans` is mask * 6 + gender * 3 + age; the contest scores
`ans`, row by row in the order of `eval/info.csv`.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Mapping

import numpy as np
import pandas as pd

from medkit import tables
from medkit.datasets.drawing.mask import draw_mask
from medkit.datasets.kinds import Threshold
from medkit.datasets.reading import Records, contest_folder, find_files, one_of
from medkit.datasets.task import Head, Layout, Task
from medkit.datasets.units import cases_as_units, chosen, judged, label_table, truth
from medkit.errors import ConfigError, DataError
from medkit.metrics import sk
from medkit.progress import track

LAYOUT = {"train": "train/train.csv", "test": "eval/info.csv"}
MASK, GENDER, AGE = ("wear", "incorrect", "normal"), ("male", "female"), ("young", "middle", "old")
ANSWERS = tuple(str(number) for number in range(18))
VIEWS = {f"mask{n}": "wear" for n in range(1, 6)}  # file: what is worn in it
VIEWS.update(incorrect_mask="incorrect", normal="normal")
OLD_FROM = 60  # the contest's; nobody in it is older, so that teams trained with 57 to 59
COLUMNS = ("id", "path", "group", "view", "years", "mask", "gender", "age", "combined", "ans")

SWAPPED = {"000020", "004418", "005227"}  # incorrect_mask and normal stand for each other
SWAPPED_VIEWS = {"incorrect": "normal", "normal": "incorrect"}
OTHER_GENDER = {
    *("000225", "000664", "000767", "001498-1", "001509", "003113", "003223", "004281", "004432"),
    *("005223", "006359", "006360", "006361", "006362", "006363", "006364", "006424"),
}
TWENTY_NINE = {"001009", "001064", "001637", "001666", "001852"}


def inspect(
    data: Path | str,
    split: str,
    *,
    old_from: int = OLD_FROM,
    fixes: bool = False,
    verify: bool = False,
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Read one split: what can be used, and what cannot, with the reason.

    Args:
        data: the folder that holds `train` and `eval`.
        old_from: the age at which "old" begins in what is trained on, `age` and `combined`. The
            truth that is scored, `ans`, keeps the contest's 60.
        fixes: correct the labels of train that teams found to be wrong, `ans` too.
        verify: decode each picture, to find those that are broken inside.

    Returns:
        cases: `id, path, group, view, years, mask, gender, age, combined, ans`; a case a photo, the
            group is the person's folder. The test has no labels, unless `eval/answers.csv`
            (ImageID,ans) says what they are.
        quarantine: `id, path, reason`.
    """
    if not 31 <= old_from <= 100:
        raise ConfigError(f"mask: old_from {old_from!r} (expected an age from 31 on; 60 is usual).")
    data = contest_folder("mask", data, split, LAYOUT)
    records = Records("mask", split, verify=verify)
    if split == "test":
        _read_test(data / LAYOUT[split], records)
    else:
        _read_people(data / LAYOUT[split], records, old_from, fixes)
    return records.tables(COLUMNS)


def to_units(cases: pd.DataFrame, predictions: pd.DataFrame | None = None) -> pd.DataFrame:
    """A unit a photo; of three heads, the chance of an answer is the product of its parts'."""
    if predictions is not None and MASK[0] in predictions:
        wanted = ["id", *MASK, *GENDER, *AGE]
        tables.check_columns("mask: predictions", predictions, wanted)
        parts = [predictions[list(names)].to_numpy(float) for names in (MASK, GENDER, AGE)]
        joint = np.einsum("nm,ng,na->nmga", *parts).reshape(len(predictions), len(ANSWERS))
        ids = predictions["id"].to_numpy()
        predictions = pd.DataFrame(joint, columns=list(ANSWERS)).assign(id=ids)
    return cases_as_units(TASK, cases, predictions)


def score_units(units: pd.DataFrame, threshold: Threshold = 0.5) -> dict[str, float]:
    """Macro-F1 over all 18 answers (one that never occurs counts 0), accuracy, and F1 by part."""
    units = judged(TASK, units)
    y_true, guess = truth(TASK, units), chosen(TASK, units, threshold)
    scores = {"f1_18": _f1(y_true, guess, 18), "accuracy": float((y_true == guess).mean())}
    for name, place, base in (("mask", 6, 3), ("gender", 3, 2), ("age", 1, 3)):
        scores[f"f1_{name}"] = _f1(y_true // place % base, guess // place % base, base)
    return scores


def submission_table(
    cases: pd.DataFrame, predictions: pd.DataFrame, *, threshold: Threshold = 0.5
) -> pd.DataFrame:
    """`ImageID, ans`, in the order of info.csv."""
    table = label_table(TASK, to_units(cases, predictions), threshold=threshold)
    return table.rename(columns={"id": "ImageID"})


def _read_people(table: Path, records: Records, old_from: int, fixes: bool) -> None:
    """A case for each photo of each person of train.csv."""
    people = _read(table, ["id", "gender", "age", "path"])
    images = table.parent / "images"
    for line, person in enumerate(track(people.to_dict("records"), "reading people"), 2):
        where, folder = f"line {line} of {table.name}", str(person["path"])
        pictures = find_files(images / folder)
        try:
            labels = [_labels(person, view, old_from, fixes) for view in VIEWS]
        except ValueError as error:
            records.refuse(folder, images / folder, f"{where}: {error}")
            continue
        for view, found in zip(VIEWS, labels):
            id = f"{folder}/{view}"
            path = records.picture(id, pictures.pop(view, None), where)
            if path:
                records.add({"id": id, "path": path, "group": folder, "view": view, **found}, where)
        for view, path in pictures.items():
            records.refuse(
                f"{folder}/{view}", path, f"{where}: no photo of this name belongs there"
            )
    there = [path.name for path in sorted(images.glob("[!.]*")) if path.is_dir()]
    for name in sorted(set(there) - set(people["path"])):
        records.refuse(name, images / name, f"no line of {table.name} names this folder")


def _read_test(table: Path, records: Records) -> None:
    """A case for each row of info.csv, whether its picture can be read or not."""
    rows, answers = _read(table, ["ImageID"]), table.with_name("answers.csv")
    known: dict[str, str] = {}
    if answers.is_file():
        known = dict(_read(answers, ["ImageID", "ans"])[["ImageID", "ans"]].to_numpy())
    pictures = find_files(table.parent / "images")
    for line, id in enumerate(track(list(rows["ImageID"]), "reading the test"), 2):
        where = f"line {line} of {table.name}"
        path = records.picture(id, pictures.get(Path(str(id)).stem), where)
        labels = dict.fromkeys(("mask", "gender", "age", "combined", "ans"))
        if id in known:
            labels = _parts(int(one_of(known[id], ANSWERS, f"ans of {id!r} in {answers.name}")))
        records.add({"id": id, "path": path, "group": id, **labels}, where)
    named = {Path(str(id)).stem for id in rows["ImageID"]}
    for stem in sorted(set(pictures) - named):
        records.refuse(stem, pictures[stem], f"no line of {table.name} names this picture")


def _read(table: Path, columns: list[str]) -> pd.DataFrame:
    """A table whose cells stay text, with the columns that are needed."""
    rows = tables.read_csv(table, text=columns)
    missing = [name for name in columns if name not in rows]
    if missing:
        raise DataError(f"{table}: no column {missing} (found {list(rows)}). Look at the file.")
    return rows


def _labels(person: Mapping[str, str], view: str, old_from: int, fixes: bool) -> dict[str, object]:
    """What is known of one photo of a person."""
    name, gender = person["id"], one_of(person["gender"], GENDER, "gender")
    if not str(person["age"]).isdigit():
        raise DataError(f"age is {person['age']!r} (expected a number of years)")
    years, worn = int(person["age"]), VIEWS[view]
    if fixes:
        years = 29 if name in TWENTY_NINE else years
        gender = GENDER[1 - GENDER.index(gender)] if name in OTHER_GENDER else gender
        worn = SWAPPED_VIEWS.get(worn, worn) if name in SWAPPED else worn
    first = MASK.index(worn) * 6 + GENDER.index(gender) * 3
    trained = _parts(first + (years >= 30) + (years >= old_from))
    return {**trained, "ans": str(first + (years >= 30) + (years >= OLD_FROM)), "years": years}


def _parts(answer: int) -> dict[str, str]:
    """The labels that an answer is made of."""
    return {
        "mask": MASK[answer // 6],
        "gender": GENDER[answer // 3 % 2],
        "age": AGE[answer % 3],
        "combined": str(answer),
        "ans": str(answer),
    }


def _f1(y_true: np.ndarray, guess: np.ndarray, classes: int) -> float:
    labels = range(classes)
    return float(sk().f1_score(y_true, guess, labels=labels, average="macro", zero_division=0))


TASK = Task(
    name="mask",
    title="boostcamp AI Tech: mask, gender and age of a face, 18 classes by three heads",
    source="boostcampaitech3/level1-image-classification-level1-recsys-08",
    heads=(Head("mask", MASK), Head("gender", GENDER), Head("age", AGE)),
    scored=Head("ans", ANSWERS),
    submission_labels=tuple(range(18)),
    inspect=inspect,
    to_units=to_units,
    score_units=score_units,
    submission_table=submission_table,
    draw=draw_mask,
    layout=Layout(by_row=True),
    mirror=("horizontal",),
    looks_alike=True,
)
MASK18 = replace(
    TASK,
    name="mask18",
    title="boostcamp AI Tech: mask, gender and age of a face, 18 classes by one head",
    heads=(Head("combined", ANSWERS),),
)
