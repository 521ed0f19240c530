"""Settings with which a tiny model is trained on drawn pictures in seconds, on the CPU."""

from __future__ import annotations

from medkit import Config, Run, fit, metrics
from medkit.datasets import scoring
from medkit.inference import judging
from medkit.submission import held_out

TINY = {"model": "test_resnet", "image_size": 32, "augment": "none"}
QUIET = {"num_workers": 0, "device": "cpu", "progress": False}
TWO_EPOCHS = Config("caries", epochs=2, batch_size=8, best_by="tooth_auc", **TINY)


def draw_few(monkeypatch, count=20):
    """Let intervals and comparisons draw few resamples: a thousand take seconds."""

    def few(whole):
        return lambda *args, **options: whole(*args, **{**options, "n_resamples": count})

    by = ((scoring, "interval"), (held_out, "interval"), (judging, "difference"))
    for module, name in by:
        monkeypatch.setattr(module, name, few(getattr(metrics, name)))


def learn(contest, cases, folder, **settings) -> Run:
    """A run that shows whether something can be learnt from a contest's drawn pictures."""
    config = Config(contest, **{"batch_size": 16, "peak_lr": 1e-2, **TINY, **settings})
    return fit(config, cases, folder, **QUIET)
