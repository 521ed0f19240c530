"""From a folder of medical images to an accepted submission, in locked-down notebooks.

Importing has no effect: each public name is loaded on first use. All of them stand in `_STAGES`.
"""

from __future__ import annotations

import importlib
import os
import warnings
from typing import Any, Iterator

__version__ = "0.1.0"
_HALF = 38  # characters of a line of the table of contents

_STAGES = {  # by stage of the work: each public name, its module, words
    "set up, and look at the data": {
        "remember": ("datasets.remembering", "keep TASK, DATA and RUNS for the other notebooks"),
        "recall": ("datasets.remembering", "take them from there"),
        "get_task": ("datasets", "a contest by its name; task.read gives its cases"),
        "summarize": ("datasets.counting", "how often each label occurs"),
        "find_leaks": ("splitting", "twins, also between train and test (other=)"),
        "join_groups": ("splitting", "such twins into one group"),
        "assign_folds": ("splitting", "a column of folds that tears no group"),
        "seed_everything": ("seeding", "for random code of your own"),
    },
    "train": {
        "Config": ("runs.config", "everything that decides a run"),
        "fit": ("training.fitting", "train; called again, it goes on where it stopped"),
        "start": ("training.fitting", "the same in the background, beyond this page"),
        "watch": ("show.live", "log, progress and curves of such a run"),
        "stop": ("training.following", "end it, with its state saved"),
        "list_runs": ("runs.folder", "all runs below a folder, and how they stand"),
        "Run": ("runs.folder", "a run folder: predictions, history, weights"),
        "fit_folds": ("training.folds", "a run of each fold"),
        "tune": ("training.tuning", "search for settings"),
        "lr_find": ("training.probing", "find a learning rate"),
        "find_batch_size": ("training.sizing", "find a batch size"),
        "estimate": ("training.sizing", "memory and time of a run, before they are spent"),
    },
    "predict and judge": {
        "predict": ("inference.predicting", "the answers of a run for cases"),
        "explain": ("inference.explaining", "where in its pictures a run looked"),
        "concat_predictions": ("inference.judging", "the held-out predictions of all folds"),
        "choose_threshold": ("inference.judging", "the best one, on held-out cases"),
        "calibrate": ("inference.calibrating", "probabilities that mean what they say"),
        "score": ("datasets.task", "the contest's scores, by name"),
        "score_table": ("inference.judging", "scores with their intervals"),
        "compare": ("inference.judging", "the difference of two, with its interval"),
        "mistake_table": ("show.mistakes", "how well each class is told"),
    },
    "several models as one": {
        "blend": ("inference.ensembling", "one table of predictions out of several"),
        "choose_weights": ("inference.weighing", "weights for that, and their honest score"),
        "soup": ("inference.ensembling", "one run with the mean of several runs' weights"),
    },
    "look": {
        "show_cases": ("show.samples", "a sample"),
        "show_balance": ("show.figures", "labels, counted"),
        "show_sizes": ("show.figures", "sizes of pictures"),
        "show_structure": ("show.structure", "the contest's own"),
        "show_leaks": ("show.samples", "twins, in pairs"),
        "show_folds": ("show.figures", "are they alike?"),
        "show_batch": ("show.batches", "what a model sees"),
        "show_history": ("show.scores", "curves of a run"),
        "show_lr_find": ("show.scores", "rates and losses"),
        "show_tuning": ("show.scores", "trials of a search"),
        "show_mistakes": ("show.mistakes", "the surest first"),
        "show_answers": ("show.answers", "beside the truth"),
        "show_threshold": ("show.answers", "what it does"),
        "show_reliability": ("show.answers", "are 70 % so?"),
        "show_dice": ("show.missed", "of masks"),
        "show_intervals": ("show.scores", "of scores"),
        "show_saliency": ("show.samples", "of mk.explain"),
    },
    "hand in": {
        "save_credentials": ("submission.credentials", "ask for the passwords, in boxes"),
        "forget_credentials": ("submission.credentials", "remove them"),
        "write_submission": ("submission.csv_files", "the table that the contest asks for"),
        "check_submission": ("submission.checking", "what would be wrong with it"),
        "submit": ("submission.client", "send it, once"),
        "submit_form": ("submission.form", "the same with boxes and a button"),
        "quota_left": ("submission.client", "how many submissions are left"),
        "Quota": ("submission.quota", "how many a contest allows"),
        "submissions": ("submission.ledger", "all that was sent, and what came of it"),
        "note_outcome": ("submission.ledger", "settle an outcome that is unknown"),
        "note_score": ("submission.ledger", "note what the leaderboard says"),
        "standing": ("submission.standing", "the leaderboard"),
    },
    "show the organisers": {
        "audit": ("rules.auditing", "what they would look for in your notebooks and run"),
        "report": ("rules.reporting", "a PDF on the model, in Korean or English"),
        "handin": ("rules.handing_in", "the folders to be handed in, which replay can read"),
        "replay": ("rules.replaying", "train a hand-in again, and compare to the byte"),
    },
    "contests of your own (docs: adding_a_contest)": {
        "read_table": ("datasets.own_tables", "cases of a CSV and a folder of pictures"),
        "read_folders": ("datasets.own_tables", "cases of a folder a class"),
        "read_masks": ("datasets.own_masks", "cases whose labels are masks"),
        "MaskFiles": ("datasets.mask_files", "how files hold masks"),
        "Task": ("datasets.task", "a contest: what is asked, and how it is scored"),
        "Head": ("datasets.task", "one question of it: classes, a number or masks"),
        "Fact": ("datasets.task", "what a model is told beside the picture"),
        "Layout": ("datasets.task", "how the table is written that is handed in"),
        "add_task": ("datasets", "make it known by its name"),
    },
    "modules": {
        "datasets": ("datasets", "the contests"),
        "edf": ("datasets.edf", "recordings of sleep"),
        "files": ("files", "whole or not at all"),
        "leaderboard": ("leaderboard", "for organisers"),
        "machine": ("machine", "what is here, and who"),
        "metrics": ("metrics", "scores by name"),
        "seeding": ("seeding", "randomness by key"),
        "tables": ("tables", "read, match and write"),
    },
    "errors": {
        "MedkitError": ("errors", "any of these; %tb shows the lines"),
        "ConfigError": ("errors", "an argument or a setting"),
        "DataError": ("errors", "tables, pictures, labels"),
        "MissingError": ("errors", "a file is not there"),
        "PlaceError": ("errors", "it cannot be written"),
        "RunError": ("errors", "a run cannot go on"),
        "Stopped": ("errors", "a run, by somebody"),
        "SubmitError": ("errors", "it was not accepted"),
        "WrongType": ("errors", "a ConfigError: another kind"),
        "NotTrusted": ("errors", "a run brings code"),
        "NotInstalled": ("errors", "an extra's package"),
        "WaitError": ("errors", "somebody does not answer"),
    },
}
_PUBLIC = {name: home for names in _STAGES.values() for name, (home, _) in names.items()}
_OLD = {  # for one version: where it is, and what is written instead
    "summary": ("training.sizing.estimate", "mk.estimate"),
    "fit_temperature": ("inference.calibrating.calibrate", "mk.calibrate"),
    "with_temperature": ("inference.calibrating.with_temperature", "mk.calibrate(...).apply"),
    "score_interval": ("datasets.scoring.score_interval", "mk.score_table(..., metrics=...)"),
    "smooth_epochs": ("datasets.sleep.smooth_epochs", "mk.datasets.sleep.smooth_epochs"),
    "edf_channels": ("datasets.edf.channels", "mk.edf.channels"),
    "edf_pictures": ("datasets.edf.pictures", "mk.edf.pictures"),
    "read_hypnogram": ("datasets.edf.hypnogram", "mk.edf.hypnogram"),
    "gpu_users": ("machine.gpu_users", "mk.machine.gpu_users"),
    "start_leaderboard": ("leaderboard.serving.start", "mk.leaderboard.start"),
    "write_answers": ("submission.csv_files.write_answers", "mk.leaderboard.write_answers"),
    "make_model": ("models.factory.make_model", "medkit.models.factory.make_model"),
    "show_confusion": ("show.answers.show_confusion", "mk.show_answers"),
    "show_agreement": ("show.answers.show_agreement", "mk.show_answers"),
    "show_teeth": ("show.teeth.show_teeth", "mk.show_structure"),
    "show_hypnogram": ("show.nights.show_hypnogram", "mk.show_structure or mk.show_mistakes"),
    "show_photos": ("show.photos.show_photos", "mk.show_mistakes"),
    "tooth_table": ("show.teeth.tooth_table", "mk.mistake_table"),
}


class _Names(list):
    """What `from medkit import *` takes. To pydoc, which asks for each name whether it belongs on
    the page of this module, none does: `help(mk)` is the table of contents, `help(mk.fit)` a page.
    """

    def __contains__(self, name: object) -> bool:
        return False


__all__ = _Names(["__version__", *_PUBLIC])


def _contents() -> Iterator[str]:
    """The lines of the table of contents, by stage; two names a line where all are short."""
    for stage, names in _STAGES.items():
        yield stage.upper()
        width = max(map(len, names))
        cells = [f"{name:<{width}}  {words}" for name, (_, words) in names.items()]
        if max(map(len, cells)) > _HALF - 2:
            yield from (f"  {cell}" for cell in cells)
        else:
            pairs = zip(cells[::2], [*cells[1::2], ""])
            yield from (f"  {left:<{_HALF}}{right}".rstrip() for left, right in pairs)


__doc__ = "\n".join([(__doc__ or "medkit").splitlines()[0], "", *_contents()])


def __getattr__(name: str) -> Any:
    # Before torch is loaded: its threads wait for each other some thousand times a step. GNU's
    # OpenMP lets them spin 300,000 times, which keeps busy neighbours' processors from each other.
    if "OMP_WAIT_POLICY" not in os.environ:
        os.environ.setdefault("GOMP_SPINCOUNT", "1000")
    if name in _OLD:
        home, instead = _OLD[name]
        warnings.warn(f"mk.{name} is now {instead}.", FutureWarning, stacklevel=2)
        module, _, old = home.rpartition(".")
        return getattr(importlib.import_module(f"medkit.{module}"), old)
    if name not in _PUBLIC:
        raise AttributeError(f"module 'medkit' has no attribute {name!r}")
    value = importlib.import_module(f"medkit.{_PUBLIC[name]}")
    if name not in _STAGES["modules"]:
        value = getattr(value, name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(["__version__", *_PUBLIC])
