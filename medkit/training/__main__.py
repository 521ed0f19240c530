"""`python -m medkit.training RUN`: go on with a run from its folder. torchrun starts it so, too."""

from __future__ import annotations

import os
import sys
import traceback

from torch.distributed.elastic.multiprocessing.errors import ErrorHandler, record

from medkit.errors import Stopped
from medkit.runs.folder import Run
from medkit.training.launching import read_command
from medkit.training.plan import make_plan
from medkit.training.process import train_here


class WholeErrors(ErrorHandler):
    """Leaves a process's error for torchrun whole or not at all.

    torchrun ends the other processes when one has died, and may do so while they write theirs; it
    would then fail on the half file, and name no cause.
    """

    def record_exception(self, e: BaseException) -> None:
        path = os.environ.get("TORCHELASTIC_ERROR_FILE")
        if path is None:  # not under torchrun
            return super().record_exception(e)
        os.environ["TORCHELASTIC_ERROR_FILE"] = f"{path}.new"
        super().record_exception(e)
        os.replace(f"{path}.new", path)


def main() -> None:
    folder, launch = read_command()
    run = Run(folder)
    try:
        train_here(run, make_plan(run.task, run.config, run.cases(launch.data), run.fold), launch)
    except Stopped as stopped:
        print(stopped, file=sys.stderr)


if __name__ == "__main__":
    try:
        record(main, WholeErrors())()  # torchrun then names the first process that failed
    except Exception:
        if int(os.environ.get("WORLD_SIZE", 1)) == 1:
            raise
        traceback.print_exc()
        sys.stderr.flush()
        os._exit(1)  # an orderly end of NCCL would wait for the others, who wait for this one
