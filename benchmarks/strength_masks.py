"""Does training here give masks as good as a contest notebook's loop, in the same time?

    python benchmarks/strength_masks.py --data path/to/nuclei [--minutes 4] [--seeds 0 1 2]

Real nuclei (images/, nuclei/ and images.csv; BBBC038, CC0) as three overlapping classes: `nucleus`,
`rim` (2 pixels inside each outline) and `contact` (within 2 pixels of two nuclei). Nothing is split
at random: pictures of a size and kind are a group, and the three large groups are parted by their
brightness into styles (of one experiment, mostly), each a group of its own. Held out are all small
groups ("new sizes") and every third style ("new styles"). The notebook's loop: the U-Net of
segmentation_models_pytorch over the same encoder, its Dice and binary cross entropy, AdamW with a
cosine, albumentations on picture and (S, S, 3) masks, all resized once and kept in memory. Both
learn from the same files, from scratch, with the same recipe of augmentation, and keep their last
weights; nothing is validated. Time is that of one core (`time.process_time`), from reading the
files to the last step: ours trains for whole epochs, as many as come nearest to `--minutes` by some
timed steps, and the loop then has just the seconds that this took. Dice is of each image at its own
size, at a threshold of one half.

Measured on two busy cores, resnet18 at 128 px, 4 to 4.5 minutes of one core a run, 222 pictures of
11 groups that were held out, three seeds: mean Dice 0.471 and the loop's 0.416, paired +0.055
(+0.023 to +0.079 over groups); of the seeds +0.035, +0.059 and +0.070. Nucleus +0.010 (-0.010 to
+0.026), rim +0.121 (+0.053 to +0.162), contact +0.033 (+0.007 to +0.058).

    --choose                holds out other styles, of the training part: to choose settings by
    --set peak_lr=0.003     changes our settings, --plain lr=0.003 those of the loop
    --other deep_supervision=2    compares ours, so changed, with ours, and not with the loop
    --threshold rim=0.3 ...       tells ours with these thresholds as well

It needs segmentation_models_pytorch (pip install "segmentation-models-pytorch>=0.5", or with
--no-deps --target FOLDER, and here --packages FOLDER).
"""

from __future__ import annotations

import argparse
import importlib
import os
import sys
import tempfile
import time
import warnings
from ast import literal_eval
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, Callable, Iterator, Sequence

import cv2
import numpy as np
import pandas as pd
import torch
from sklearn.cluster import AgglomerativeClustering

import medkit as mk
from medkit import seeding
from medkit.images import crops
from medkit.images.decode import read_image
from medkit.loading import augment
from medkit.loading.loader import make_dataset
from medkit.metrics import SMOOTH, difference, interval
from medkit.models.picture_model import MEAN, STD
from medkit.training.optimizing import make_optimizer
from medkit.training.plan import make_plan
from medkit.training.ranks import Ranks
from medkit.training.stepping import Stepper

CLASSES = ("nucleus", "rim", "contact")
NEAR = 2  # pixels
STYLES = {"256x256 grey": 9, "320x256 colour": 4, "696x520 grey": 3}  # about one in 30 pictures
SIZE, BATCH = 128, 8
TASK = mk.Task(
    name="nuclei",
    title="Nuclei, their rims, and where two meet",
    source="BBBC038",
    heads=(mk.Head("masks", CLASSES, kind="masks"),),
    mask_files=mk.MaskFiles("planes"),
    layout=mk.Layout(key_columns=2, answer="runs", order="F", base=1),
    mirror=("horizontal", "vertical"),
)
CONFIG = mk.Config(
    "nuclei",
    model="resnet18",
    image_size=SIZE,
    batch_size=BATCH,
    peak_lr=3e-3,  # chosen by `--choose`
    loss="cross_entropy_dice",
    augment="light",
)
PLAIN = {"lr": 1e-3, "schedule": "cosine", "masks": "nearest"}


def derived(numbers: np.ndarray) -> list[np.ndarray]:
    """The classes' masks, 0 and 255, of a picture whose pixels are numbers of nuclei."""
    disc = (np.hypot(*np.mgrid[-NEAR : NEAR + 1, -NEAR : NEAR + 1]) <= NEAR).astype(np.uint8)
    rim, near = np.zeros(numbers.shape, bool), np.zeros(numbers.shape, np.uint8)
    for number in np.unique(numbers)[1:]:
        rows, columns = (
            slice(max(0, places.min() - NEAR), places.max() + NEAR + 1)
            for places in np.nonzero(numbers == number)
        )
        one = (numbers[rows, columns] == number).astype(np.uint8)
        rim[rows, columns] |= one > cv2.erode(one, disc)
        near[rows, columns] += cv2.dilate(one, disc)
    return [np.uint8(255) * mask for mask in (numbers > 0, rim, near > 1)]


def styles_of(paths: Sequence[Path], count: int) -> np.ndarray:
    """Numbers of the styles of pictures, the darkest first: by quantiles of their brightness."""
    quantiles = [
        np.log1p(np.percentile(cv2.imread(str(path)).reshape(-1, 3), (1, 25, 50, 75, 90, 99), 0))
        for path in paths
    ]
    vectors = np.reshape(quantiles, (len(paths), -1))
    labels = AgglomerativeClustering(count).fit(vectors).labels_
    order = np.argsort([np.median(vectors[labels == k]) for k in range(count)], kind="stable")
    return np.argsort(order)[labels]


def read_cases(data: Path, masks: Path) -> pd.DataFrame:
    """All cases, with `group` and `style`, -1 where a group has none; masks are written first."""
    table = pd.read_csv(data / "images.csv")
    for name in CLASSES:
        (masks / name).mkdir(parents=True)
    for id in table["id"]:
        numbers = cv2.imread(str(data / "nuclei" / f"{id}.png"), cv2.IMREAD_UNCHANGED)
        for name, mask in zip(CLASSES, derived(numbers)):
            cv2.imwrite(str(masks / name / f"{id}.png"), mask)
    kinds = table["width"].astype(str) + "x" + table["height"].astype(str) + " " + table["kind"]
    groups = dict(zip(table["id"] + ".png", kinds))
    cases = mk.read_masks(TASK, data / "images", masks, groups=groups).assign(style=-1)
    for group, count in STYLES.items():
        rows = cases["group"] == group
        cases.loc[rows, "style"] = styles_of(cases["path"][rows], count)
        cases.loc[rows, "group"] += ", style " + cases["style"][rows].astype(str)
    return cases


def parts(cases: pd.DataFrame, choose: bool) -> tuple[pd.DataFrame, pd.DataFrame]:
    """To learn from, and to judge by: the test, or other styles to choose by."""
    is_test = (cases["style"] < 0) | (cases["style"] % 3 == 2)
    is_judged = is_test
    if choose:
        cases, is_judged = cases[~is_test], cases["style"][~is_test] == 1
    return tuple(cases[rows].reset_index(drop=True) for rows in (~is_judged, is_judged))


@contextmanager
def timed(spent: dict[str, float]) -> Iterator[None]:
    cpu, wall = time.process_time(), time.perf_counter()
    yield
    spent.update(cpu=time.process_time() - cpu, wall=time.perf_counter() - wall)


def step_s(config: mk.Config, train: pd.DataFrame, folder: Path, count: int = 6) -> float:
    """CPU seconds of one of our steps; of a few, the middle one."""
    plan = make_plan(TASK, config, train.head(4 * config.batch_size), None)
    data = make_dataset(TASK, config, plan.seen, cache_folder=folder, progress=False)
    data, model = data.augmented(config.augment), plan.new_model().train()
    stepper, found = Stepper(plan.objective, config, model, Ranks(), print), []
    optimizer = make_optimizer(model, config)
    for _ in range(count):
        began = time.process_time()
        stepper.gradients(plan.batch(data), 0, 0)
        stepper.descend(optimizer)
        found.append(time.process_time() - began)
    return float(np.median(found))


def ours(
    config: mk.Config, seed: int, train: pd.DataFrame, room: Path, budget_s: float
) -> tuple[Callable[[pd.DataFrame], pd.DataFrame], dict[str, float]]:
    """What predicts, and what was spent, by as many epochs as come nearest to the budget."""
    config, steps = replace(config, seed=seed), -(-len(train) // config.batch_size)
    epochs = max(1, round(budget_s / (steps * step_s(config, train, room / "timed"))))
    spent, asked = {}, {"device": "cpu", "num_workers": 0, "cache_folder": room / "cache"}
    with timed(spent):
        settings = replace(config, epochs=epochs)
        run = mk.fit(settings, train, room / "run", fold=None, progress=False, **asked)
    spent["epochs"] = float(epochs)
    return partial(mk.predict, run, **asked), spent


def dice_of_units(cases: pd.DataFrame, predictions: pd.DataFrame, threshold: Any) -> np.ndarray:
    """(images, classes) Dice, as `mk.score` has its mean."""
    units = TASK.to_units(cases, predictions)
    cuts = [crops.cut_of(of) for of in TASK.scored.answer.thresholds(threshold)] * len(cases)
    area, common = (
        np.array([row[cut] for row, cut in zip(units[name], cuts)], float)
        for name in ("area", "overlap")
    )
    true = units["y_true"].to_numpy(float)
    dice = (2 * common + SMOOTH) / (true + area + SMOOTH)
    told = mk.score(TASK, cases, predictions, threshold=threshold)["dice"]
    assert abs(dice.mean() - told) < 1e-9
    return dice.reshape(len(cases), len(CLASSES))


class Usual(torch.utils.data.Dataset):
    """As notebooks have it: picture and (S, S, 3) masks resized, moved by albumentations."""

    def __init__(self, cases: pd.DataFrame, masks: str, augmented: bool):
        import albumentations as A

        self.rows, self.how, self.kept = cases.to_dict("records"), masks, {}
        flips = [A.HorizontalFlip(p=0.5), A.VerticalFlip(p=0.5)]
        self.steps = A.Compose(flips + [augment.compose(CONFIG.augment)]) if augmented else None

    def __len__(self) -> int:
        return len(self.rows)

    def load(self, row: int) -> tuple[np.ndarray, np.ndarray]:
        """(S, S, 3) uint8, and (S, S, 3) float32 of 0 and 1, or of covered shares."""
        image, masks = read_image(self.rows[row]["path"]), true_masks(self.rows[row])
        how = cv2.INTER_NEAREST if self.how == "nearest" else cv2.INTER_AREA
        masks = cv2.resize(masks.astype(np.float32), (SIZE, SIZE), interpolation=how)
        if self.how == "half":
            masks = (masks >= 0.5).astype(np.float32)
        return cv2.resize(image, (SIZE, SIZE), interpolation=cv2.INTER_AREA), masks

    def __getitem__(self, row: int) -> tuple[torch.Tensor, torch.Tensor]:
        if row not in self.kept:
            self.kept[row] = self.load(row)
        image, masks = self.kept[row]
        if self.steps is not None:
            moved = self.steps(image=image, mask=masks)
            image, masks = moved["image"], moved["mask"]
        image = (image.astype(np.float32) / 255 - MEAN) / STD
        return tuple(
            torch.from_numpy(np.ascontiguousarray(part.transpose(2, 0, 1), np.float32))
            for part in (image, masks)
        )


def true_masks(case: dict[str, Any]) -> np.ndarray:
    """(H, W, 3) uint8 of 0 and 1."""
    planes = [cv2.imread(case["masks"].replace("{class}", name), 0) for name in CLASSES]
    return np.stack(planes, 2) // 255


def plain_loop(
    settings: dict[str, Any], seed: int, train: pd.DataFrame, budget_s: float
) -> tuple[Callable[[pd.DataFrame], np.ndarray], dict[str, float]]:
    """What judges cases, and what was spent: steps are made until the budget is."""
    import segmentation_models_pytorch as smp

    spent, began, steps = {}, time.process_time(), 0
    with timed(spent), seeding.keyed("plain", seed):
        data = Usual(train, settings["masks"], augmented=True)
        data.steps.set_random_seed(seed) if hasattr(data.steps, "set_random_seed") else None
        loader = torch.utils.data.DataLoader(data, BATCH, shuffle=True, drop_last=True)
        model = smp.Unet("resnet18", encoder_weights=None, classes=len(CLASSES)).train()
        optimizer = torch.optim.AdamW(model.parameters(), settings["lr"])
        dice, entropy = smp.losses.DiceLoss("multilabel"), torch.nn.BCEWithLogitsLoss()
        while time.process_time() - began < budget_s:
            for images, masks in loader:
                share = (time.process_time() - began) / budget_s
                if share >= 1:
                    break
                if settings["schedule"] == "cosine":
                    for group in optimizer.param_groups:
                        group["lr"] = settings["lr"] * (1 + np.cos(np.pi * share)) / 2
                logits = model(images)
                loss = (dice(logits, masks) + entropy(logits, masks)) / 2
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
                steps += 1
    spent["epochs"] = steps * BATCH / len(train)
    return partial(judge_plain, model.eval()), spent


@torch.inference_mode()
def judge_plain(model: torch.nn.Module, cases: pd.DataFrame) -> np.ndarray:
    """(images, classes) Dice at one half, of probabilities at each picture's own size."""
    data, found = Usual(cases, "nearest", augmented=False), []
    for row, case in enumerate(data.rows):
        true = true_masks(case)
        probs = torch.sigmoid(model(data[row][0][None]))[0].numpy().transpose(1, 2, 0)
        inside = cv2.resize(probs, true.shape[1::-1], interpolation=cv2.INTER_LINEAR) >= 0.5
        common, both = (true * inside).sum((0, 1)), true.sum((0, 1)) + inside.sum((0, 1))
        found.append((2.0 * common + SMOOTH) / (both + SMOOTH))
    return np.array(found)


def tell(name: str, dice: np.ndarray, groups: Sequence[str]) -> None:
    """The mean over images of each class, and over these with its interval by group."""
    each = "  ".join(f"{c} {v:.4f}" for c, v in zip(CLASSES, dice.mean(0)))
    print(f"{name:<22} {each}  mean {interval(lambda rows: dice[rows].mean(), groups)}", flush=True)


def tell_difference(
    name: str, a: np.ndarray, b: np.ndarray, cases: pd.DataFrame, classes: Sequence[str] = ()
) -> None:
    """How much better b is: drawn by group, then by image."""
    for column in [slice(None), *map(CLASSES.index, classes)]:
        what = "mean" if isinstance(column, slice) else CLASSES[column]
        found = [
            difference(
                lambda rows, c=column: a[rows, c].mean(),
                lambda rows, c=column: b[rows, c].mean(),
                cases[by].to_numpy(),
            )
            for by in ("group", "id")
        ]
        by_image = f"by image ({found[1].low:+.4f} to {found[1].high:+.4f})"
        print(f"{name:<22} {what:<8} {found[0]}; {by_image}", flush=True)


def pairs(texts: Sequence[str]) -> dict[str, Any]:
    """Settings of "name=value" texts; what is no number or tuple is text."""

    def value(text: str) -> Any:
        try:
            return literal_eval(text)
        except (ValueError, SyntaxError):
            return text

    return {name: value(text) for name, _, text in (pair.partition("=") for pair in texts)}


def find_packages(folder: str | None) -> None:
    """Make sure that the loop's package is there."""
    sys.path[:0] = [folder] if folder else []
    try:
        importlib.import_module("segmentation_models_pytorch")
    except ImportError as error:
        sys.exit(f"{error}. See --help: it says what to install.")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", required=True, type=Path)
    parser.add_argument("--minutes", type=float, default=4.0)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--images", type=int, help="learn from so many alone, to try it out")
    parser.add_argument("--choose", action="store_true")
    parser.add_argument("--set", nargs="+", default=[])
    parser.add_argument("--plain", nargs="+", default=[])
    parser.add_argument("--other", nargs="+")
    parser.add_argument("--threshold", nargs="+")
    parser.add_argument("--sides", nargs="+", default=["ours", "against"], help="to run one alone")
    parser.add_argument("--scores", type=Path, help="a folder for the Dice of each image")
    parser.add_argument("--packages")
    asked = parser.parse_args()
    if asked.other is None:
        find_packages(asked.packages)
    cv2.setNumThreads(1)
    torch.set_num_threads(1)
    os.environ.setdefault("NO_ALBUMENTATIONS_UPDATE", "1")
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        mk.add_task(TASK)
        compare(asked, Path(folder))


def compare(asked: argparse.Namespace, folder: Path) -> None:
    train, test = parts(read_cases(asked.data, folder / "masks"), asked.choose)
    if asked.images:
        train = train.sample(asked.images, random_state=0).reset_index(drop=True)
    counts = ", ".join(f"{n} of {group}" for group, n in test["group"].value_counts().items())
    print(f"{len(train)} pictures to learn from, {len(test)} to judge by: {counts}")
    config, plain = replace(CONFIG, **pairs(asked.set)), {**PLAIN, **pairs(asked.plain)}
    other = None if asked.other is None else replace(config, **pairs(asked.other))
    thresholds = {"": 0.5, **({", thresholds": pairs(asked.threshold)} if asked.threshold else {})}
    names = {"ours": "ours", "against": "plain loop" if other is None else " ".join(asked.other)}
    kept: dict[str, list[np.ndarray]] = {}
    for seed in asked.seeds:
        budget_s = 60 * asked.minutes
        for side in asked.sides:
            if side == "against" and other is None:
                judge, spent = plain_loop(plain, seed, train, budget_s)
                found = {names[side]: judge(test)}
            else:
                settings, room = config if side == "ours" else other, folder / f"{side}-{seed}"
                predict, spent = ours(settings, seed, train, room, budget_s)
                table = predict(test)
                found = {
                    names[side] + which: dice_of_units(test, table, threshold)
                    for which, threshold in thresholds.items()
                }
                budget_s = spent["cpu"] if other is None else budget_s
                if asked.choose:
                    print("   thresholds:", mk.choose_threshold(TASK, test, table))
            print("   " + "  ".join(f"{what} {value:.1f}" for what, value in spent.items()))
            for name, dice in found.items():
                kept.setdefault(name, []).append(dice)
                tell(f"{name}, seed {seed}", dice, test["group"])
                keep(asked.scores, f"{name} {seed}", dice, test)
    for name, found in kept.items():
        tell(f"{name}, all seeds", sum(found) / len(found), test["group"])
    if set(names.values()) <= set(kept):
        tell_gains(kept, *names.values(), asked.seeds, test)


def tell_gains(
    kept: dict[str, list[np.ndarray]],
    ours: str,
    against: str,
    seeds: Sequence[int],
    test: pd.DataFrame,
) -> None:
    """Ours minus the loop, or ours with other settings minus ours."""
    b, a = (kept[ours], kept[against]) if against == "plain loop" else (kept[against], kept[ours])
    for seed, one, two in zip(seeds, a, b):
        tell_difference(f"gain, seed {seed}", one, two, test)
    a, b = sum(a) / len(a), sum(b) / len(b)
    tell_difference("gain, mean of seeds", a, b, test, CLASSES)
    meets = np.array([true_masks(case)[..., 2].any() for case in test.to_dict("records")])
    for side, dice in ((against, kept[against]), (ours, kept[ours])):
        tell(f"{side}, with contact", (sum(dice) / len(dice))[meets], test["group"][meets])
    tell_difference("gain, with contact", a[meets], b[meets], test[meets], CLASSES[2:])
    for name, rows in (("new styles", test["style"] >= 0), ("new sizes", test["style"] < 0)):
        if rows.any() and not rows.all():
            some = rows.to_numpy()
            for side, dice in ((against, kept[against]), (ours, kept[ours])):
                tell(f"{side}, {name}", (sum(dice) / len(dice))[some], test["group"][some])
            tell_difference(f"gain, {name}", a[some], b[some], test[some], CLASSES)


def keep(folder: Path | None, name: str, dice: np.ndarray, test: pd.DataFrame) -> None:
    """Write the Dice of each image."""
    if folder is not None:
        folder.mkdir(parents=True, exist_ok=True)
        table = test[["id", "group", "style"]].join(pd.DataFrame(dice, columns=list(CLASSES)))
        table.to_csv(folder / f"{name}.csv", index=False)


if __name__ == "__main__":
    main()
