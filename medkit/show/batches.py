"""What a model is shown while it trains: one batch, augmented and mixed."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from medkit.arguments import check_arguments
from medkit.datasets import get_task
from medkit.datasets.task import Task
from medkit.errors import ConfigError
from medkit.loading.facts import fact_list
from medkit.loading.labels import label_type
from medkit.loading.loader import Batch, make_dataset
from medkit.runs.config import Config
from medkit.show.canvas import Picture, grid_of, short, styled
from medkit.show.kinds import SHOWN
from medkit.show.shown import Shown
from medkit.training.plan import make_plan
from medkit.training.stepping import Mixed, mix

NEARLY = 0.995  # of a picture's own: what is mixed in is not seen


@styled
def show_batch(
    config: Config,
    cases: pd.DataFrame,
    *,
    n: int = 8,
    fold: int | None = 0,
    epoch: int = 0,
    step: int = 0,
    cache_folder: Path | str | None = None,
    progress: bool = True,
) -> Picture:
    """What the model really sees: pictures of one step of `fit`, to the last bit, and their labels.

    They are augmented, and mixed where the config says so; a label is then soft, as "0.7 sound +
    0.3 decayed". Below it stands what the model is told of a case, if anything (`Config.facts`). Of
    several devices each mixes its own part; here one has the whole batch.

    Args:
        n: the first pictures of the batch.
        fold: that is held out; None trains on all cases.
        epoch, step: from 0.

    Raises:
        ConfigError, DataError: for what `fit` refuses, and an epoch or step that this training does
            not have.

    Example:
        >>> from dataclasses import replace
        >>> mk.show_batch(replace(config, mixup=0.4), cases, n=2, progress=False)
        <Picture ...>
    """
    check_arguments(show_batch, locals())
    task = get_task(config.task)
    plan = make_plan(task, config, cases, fold)
    _check("n", n, range(1, 1 + max(n, config.batch_size)))
    _check("epoch", epoch, range(config.epochs))
    _check("step", step, range(plan.steps))
    data = make_dataset(task, config, plan.seen, cache_folder=cache_folder, progress=progress)
    batch = plan.batch(data.augmented(config.augment), epoch=epoch, step=step)
    mixed = mix(config, batch, epoch, step)
    pictures = mixed.images[:n].float().round().byte().permute(0, 2, 3, 1).numpy()
    ids = plan.seen["id"].iloc[batch.rows[:n].numpy()]
    captions = [short(name) + words for name, words in zip(ids, _words(task, config, batch, mixed))]
    first = SHOWN[task.heads[0].kind](task.heads[0])
    page, cells = grid_of(
        [1.0] * len(pictures),
        has_legend=first.has_legend,
        columns=4,
        lines=1 + captions[0].count("\n"),
        title=f"step {step + 1} of {plan.steps} in epoch {epoch + 1} of {config.epochs}: "
        f"{len(pictures)} of {len(batch.rows)} pictures, {_how(config)}"
        + _drawn(first.in_mixture, mixed),
    )
    labels = label_type(task).of_head(batch.labels[:n], 0).numpy()
    for cell, picture, label, text in zip(cells, pictures, labels, captions):
        cell.imshow(picture)
        first.overlay_learnt(cell, label)
        cell.set_title(text, fontsize=9)
    first.legend(page)
    return page


def _check(name: str, value: int, allowed: range) -> None:
    if value not in allowed:
        raise ConfigError(
            f"show_batch: {name}={value} (expected {allowed[0]} to {allowed[-1]}). "
            "Leave it out to see the first pictures of the training."
        )


def _how(config: Config) -> str:
    """The settings that change what is seen."""
    mixing = {name: getattr(config, name) for name in ("mixup", "cutmix")}
    settings = [f"{name}={alpha:g}" for name, alpha in mixing.items() if alpha]
    return ", ".join([f"augment={config.augment!r}", *settings])


def _drawn(what: str, mixed: Mixed) -> str:
    """A second line of the title: what is drawn on mixed pictures, if anything."""
    if not what or mixed.order is None or mixed.share > NEARLY:
        return ""
    return f"\nmixed: {what}"


def _words(task: Task, config: Config, batch: Batch, mixed: Mixed) -> list[str]:
    """Below each case's name: its labels, and the facts that the model is told."""
    labels = []
    for number, head in enumerate(task.heads):
        shown = SHOWN[head.kind](head)
        words = shown.words_of(label_type(task).of_head(batch.labels, number).numpy())
        labels.append(_soft(words, mixed, shown))
    facts, first = [], 0
    for fact in fact_list(task, config.facts):
        part = batch.facts[:, first : first + len(fact.values)].numpy()
        words = [fact.values[row.argmax()] if row.any() else "unknown" for row in part]
        facts.append(_soft(words, mixed, Shown))
        first += len(fact.values)
    comma = ", " if mixed.order is None else "\n"  # what is mixed takes a line of its own
    told = [[comma.join(row) for row in zip(*group)] for group in (labels, facts) if group]
    begin = ("\n", "\ntold: ")
    return ["".join(map("".join, zip(begin, texts))) for texts in zip(*told)]


def _soft(words: list[str], mixed: Mixed, shown: Shown | type[Shown]) -> list[str]:
    """Each word with that of its partner in the mixture, by their shares."""
    if mixed.order is None or mixed.share > NEARLY:
        return words
    partners = [words[partner] for partner in mixed.order.tolist()]
    return [shown.mixed(own, other, mixed.share) for own, other in zip(words, partners)]
