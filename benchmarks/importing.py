"""What an import costs: medkit alone, `mk.<Tab>`, and `mk.submit`, beside pandas and torch.

    python benchmarks/importing.py

Median of 9 fresh interpreters each, less an empty one's.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import time

TAB = """
from IPython.core.interactiveshell import InteractiveShell
shell = InteractiveShell.instance()
shell.run_cell("import medkit as mk")
import warnings; warnings.simplefilter("ignore")
"""
CODES = {
    "import medkit": "import medkit",
    "IPython": TAB,
    "mk.<Tab> in it": TAB + "list(shell.Completer.completions('mk.', 3))",
    "medkit.submit": "import medkit; medkit.submit",
    "import pandas": "import pandas",
    "import torch": "import torch",
}


def seconds(code: str, runs: int = 9) -> float:
    """Median wall time of a fresh interpreter that runs `code`."""
    times = []
    for _ in range(runs):
        began = time.perf_counter()
        subprocess.run([sys.executable, "-c", code], check=True)
        times.append(time.perf_counter() - began)
    return statistics.median(times)


def main() -> None:
    empty = seconds("pass")
    for name, code in CODES.items():
        print(f"{name:<14} {1000 * (seconds(code) - empty):6.0f} ms")


if __name__ == "__main__":
    main()
