"""`python -m medkit.training RUN`: go on with a run from its folder. torchrun starts it so, too."""

from __future__ import annotations

import argparse
import sys

from torch.distributed.elastic.multiprocessing.errors import record

from medkit.runs.folder import Run
from medkit.runs.holding import Stopped
from medkit.training.fitting import train
from medkit.training.loop import Loop


@record  # torchrun then names the first process that failed
def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m medkit.training", description=__doc__)
    parser.add_argument("run", help="the run folder")
    parser.add_argument("--data", help="where the data folder is now, when it has moved")
    parser.add_argument("--num-workers", type=int, default=2)
    parser.add_argument("--save-every-s", type=float, default=60.0)
    parser.add_argument("--device")
    parser.add_argument("--cache-folder")
    parser.add_argument("--wait-s", type=float, default=600.0)
    arguments = vars(parser.parse_args())
    run, data = Run(arguments.pop("run")), arguments.pop("data")
    loop = Loop(run.task, run.config, run.cases(data), run.fold)
    try:
        train(run, loop, **arguments)
    except Stopped as stopped:
        print(stopped, file=sys.stderr)


if __name__ == "__main__":
    main()
