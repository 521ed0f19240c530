"""How long `task.read` takes for 27,000 records, beside only parsing their JSON.

    python benchmarks/reading.py [--records 27000]

Pictures are links to a few drawn ones; each record has a file of its own.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
import time
from pathlib import Path

import medkit as mk


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--records", type=int, default=27000)
    count = parser.parse_args().records
    task = mk.get_task("caries")
    with tempfile.TemporaryDirectory() as folder:
        task.draw(Path(folder) / "few", n_train=30, n_test=1)
        few, many = Path(folder) / "few" / "train_data", Path(folder) / "many" / "train_data"
        (many / "image").mkdir(parents=True)
        (many / "json").mkdir()
        drawn = sorted((few / "json").glob("*.json"))
        for k in range(count):
            source = drawn[k % len(drawn)]
            view = source.stem.partition("_")[0]
            record = json.loads(source.read_text())
            record["image_filepath"] = f"images/{view}/{k}/{view}_{k}.png"
            (many / "json" / f"{view}_{k}.json").write_text(json.dumps(record))
            os.link(few / "image" / f"{source.stem}.png", many / "image" / f"{view}_{k}.png")
        began = time.perf_counter()
        for path in (many / "json").iterdir():
            json.loads(path.read_text())
        parsing = time.perf_counter() - began
        began = time.perf_counter()
        cases = task.read(Path(folder) / "many", "train")
        reading = time.perf_counter() - began
        print(
            f"{count:,} records, {len(cases):,} teeth: {reading:.1f} s, "
            f"{reading / parsing:.1f} times parsing alone ({parsing:.1f} s)"
        )


if __name__ == "__main__":
    main()
