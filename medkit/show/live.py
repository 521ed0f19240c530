"""watch: a run that trains in another process, as it goes."""

from __future__ import annotations

from pathlib import Path

from medkit.arguments import check_arguments
from medkit.progress import Status, kernel, new_output
from medkit.runs.folder import Run
from medkit.show.scores import show_history
from medkit.training.following import News, follow, raise_if_failed, shown_on

LINES = 8  # of the log, the newest


def watch(run: Run | Path | str, *, every_s: float = 5.0) -> None:
    """Show a run's log, progress and curves until it ends; a finished one at once.

    Call it from any notebook or terminal, as often as you like. An interrupt (the stop button) ends
    the watching, not the run.

    Raises:
        RunError: when the run failed, with its reason and the end of its log.

    Example:
        >>> mk.watch(run)
        test_resnet: ...
        epoch 1/2 ...
        finished after 2 epochs...
    """
    check_arguments(watch, locals())
    run = run if isinstance(run, Run) else Run(run)
    status, curves = Status(keep=LINES), _Curves(run)
    show = shown_on(status)

    def look(run: Run, news: News) -> None:
        show(run, news)
        curves.update()

    try:
        follow([run], look, recent=LINES, every_s=every_s)
    except KeyboardInterrupt:
        status.line(f"{run.path}: it goes on without being watched. mk.watch(run) shows it again.")
        return
    if run.state == "new" and not (run.path / "output.txt").is_file():
        status.line(f"{run.path}: never started. mk.start(config, cases, folder) trains in it.")
        return
    status.line(f"{run.path}: {run.state}")
    raise_if_failed(run)


class _Curves:
    """The figure of a run's history, drawn anew when there is a new epoch."""

    def __init__(self, run: Run):
        self.run, self.seen, self.output = run, None, None

    def update(self) -> None:
        path = self.run.path / "history.csv"
        changed = path.stat().st_mtime_ns if path.is_file() else None
        if changed == self.seen or kernel() is None:
            return
        self.seen, picture = changed, show_history(self.run)
        if self.output is None:
            self.output = new_output(picture)
        else:
            self.output.update(picture)
