"""medkit: from a folder of medical images to an accepted submission, in locked-down notebooks.

Importing has no effect: each public name is loaded on first use.
"""

from __future__ import annotations

import importlib
import os
from typing import Any

__version__ = "0.1.0"

_HOMES = {  # public name: the module that holds it
    "Task": "datasets.task",
    "Head": "datasets.task",
    "Fact": "datasets.task",
    "Layout": "datasets.task",
    "score": "datasets.task",
    "add_task": "datasets",
    "get_task": "datasets",
    "remember": "datasets.remembering",
    "recall": "datasets.remembering",
    "read_masks": "datasets.own_masks",
    "MaskFiles": "datasets.mask_files",
    "read_table": "datasets.own_tables",
    "read_folders": "datasets.own_tables",
    "smooth_epochs": "datasets.sleep",
    "edf_channels": "datasets.edf",
    "edf_pictures": "datasets.edf",
    "read_hypnogram": "datasets.edf",
    "Config": "runs.config",
    "Run": "runs.folder",
    "fit": "training.fitting",
    "start": "training.fitting",
    "fit_folds": "training.folds",
    "tune": "training.tuning",
    "stop": "training.following",
    "lr_find": "training.probing",
    "find_batch_size": "training.sizing",
    "summary": "training.sizing",
    "gpu_users": "training.neighbours",
    "list_runs": "runs.folder",
    "predict": "inference.predicting",
    "explain": "inference.explaining",
    "concat_predictions": "inference.judging",
    "choose_threshold": "inference.judging",
    "score_interval": "datasets.scoring",
    "score_table": "inference.judging",
    "compare": "inference.judging",
    "fit_temperature": "inference.calibrating",
    "with_temperature": "inference.calibrating",
    "blend": "inference.ensembling",
    "choose_weights": "inference.weighing",
    "soup": "inference.ensembling",
    "make_model": "models.factory",
    "show_answers": "show.answers",
    "show_balance": "show.figures",
    "show_batch": "show.batches",
    "show_cases": "show.samples",
    "show_confusion": "show.answers",
    "show_dice": "show.missed",
    "show_folds": "show.figures",
    "show_history": "show.scores",
    "show_intervals": "show.scores",
    "show_leaks": "show.samples",
    "show_lr_find": "show.scores",
    "show_photos": "show.photos",
    "show_saliency": "show.samples",
    "show_reliability": "show.answers",
    "show_sizes": "show.figures",
    "show_structure": "show.structure",
    "show_hypnogram": "show.nights",
    "show_mistakes": "show.mistakes",
    "mistake_table": "show.mistakes",
    "show_teeth": "show.teeth",
    "show_threshold": "show.answers",
    "show_agreement": "show.answers",
    "show_tuning": "show.scores",
    "tooth_table": "show.teeth",
    "watch": "show.live",
    "write_submission": "submission.csv_files",
    "write_answers": "submission.csv_files",
    "check_submission": "submission.checking",
    "submit": "submission.client",
    "submit_form": "submission.form",
    "submissions": "submission.ledger",
    "note_score": "submission.ledger",
    "note_outcome": "submission.ledger",
    "Quota": "submission.quota",
    "quota_left": "submission.client",
    "standing": "submission.standing",
    "save_credentials": "submission.credentials",
    "forget_credentials": "submission.credentials",
    "handin": "datasets.handin",
    "start_leaderboard": "leaderboard.serving",
    "seed_everything": "seeding",
    "assign_folds": "splitting",
    "find_leaks": "splitting",
    "join_groups": "splitting",
    "summarize": "datasets.counting",
    "MedkitError": "errors",
    "DataError": "errors",
    "MissingError": "errors",
    "ConfigError": "errors",
    "RunError": "errors",
    "Stopped": "errors",
    "SubmitError": "errors",
    "PlaceError": "errors",
}
_MODULES = ("datasets", "files", "machine", "metrics", "seeding", "tables")

__all__ = ["__version__", *_HOMES, *_MODULES]


def __getattr__(name: str) -> Any:
    # Before torch is loaded: its threads wait for each other some thousand times a step. GNU's
    # OpenMP lets them spin 300,000 times, which keeps busy neighbours' processors from each other.
    if "OMP_WAIT_POLICY" not in os.environ:
        os.environ.setdefault("GOMP_SPINCOUNT", "1000")
    if name in _HOMES:
        value = getattr(importlib.import_module(f"medkit.{_HOMES[name]}"), name)
    elif name in _MODULES:
        value = importlib.import_module(f"medkit.{name}")
    else:
        raise AttributeError(f"module 'medkit' has no attribute {name!r}")
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
