"""Is the default recipe better than no learning at all, and than colour alone?

    python benchmarks/baselines.py --data path/to/Dataset [--out runs/baselines]

Teeth of the test photos, after training from scratch on the train photos (one fold held out to
choose the epoch). Intervals are of the difference, drawn by photo group. With the recipe's size
and epochs cut down for two cores, about four minutes.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import cv2
import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import medkit as mk
from medkit.loading.loader import make_dataset
from medkit.metrics import METRICS, difference, interval
from medkit.tables import match, visible


def histograms(dataset) -> np.ndarray:
    """Colour histograms of all crops: 16 bins for each of hue, saturation, value, R, G and B."""
    rows = []
    for k in range(len(dataset)):
        image = dataset.cache[k]
        both = np.concatenate([cv2.cvtColor(image, cv2.COLOR_RGB2HSV), image], 2)
        rows.append([np.histogram(both[:, :, c], 16, (0, 256))[0] for c in range(6)])
    return np.sqrt(np.array(rows, float).reshape(len(rows), -1))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", required=True)
    parser.add_argument("--out", default="runs/baselines")
    parser.add_argument("--epochs", type=int, default=8)
    parser.add_argument("--image-size", type=int, default=64)
    arguments = parser.parse_args()
    task = mk.get_task("caries")
    train, test = task.read(arguments.data, "train"), task.read(arguments.data, "test")
    leaks = mk.find_leaks(train, other=test)
    train = train[~train["photo"].isin(leaks["id_a"])]
    print(f"left out of train, as test has them too: {sorted(set(leaks['id_a']))}")
    train = mk.assign_folds(task, train, n_folds=5, seed=0)
    config = mk.Config(
        task="caries",
        name="default, cut down for two cores",
        image_size=arguments.image_size,
        epochs=arguments.epochs,
        batch_size=64,
        best_by="tooth_auc",
    )
    run = mk.fit(config, train, Path(arguments.out) / "default", fold=0, num_workers=1)
    teeth = match(visible(test), mk.predict(run, test, views=("as is", "mirrored")))
    y_true = (teeth["decayed_x"] == "decayed").to_numpy().astype(int)
    groups, ours = teeth["group"].to_numpy(), teeth["decayed_y"].to_numpy()

    seen = visible(train).reset_index(drop=True)
    model = make_pipeline(StandardScaler(), LogisticRegression(max_iter=5000, C=0.01))
    model.fit(histograms(make_dataset(task, config, seen)), seen["decayed"] == "decayed")
    colour = model.predict_proba(histograms(make_dataset(task, config, visible(test))))[:, 1]
    guesses = {"default recipe": ours, "colour histograms": colour, "always majority": ours * 0}
    auc = {
        name: lambda rows, guess=guess: METRICS["auc"](y_true[rows], guess[rows])
        for name, guess in guesses.items()
    }
    for name, score in auc.items():
        print(f"{name:<18} AUC {interval(score, groups)}")
    for name in list(guesses)[1:]:
        gain = difference(auc[name], auc["default recipe"], groups)
        print(f"default recipe against {name}: {gain}")


if __name__ == "__main__":
    main()
