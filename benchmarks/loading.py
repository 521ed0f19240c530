"""Images a second into the loop: from the cache, beside decoding the originals each time.

    python benchmarks/loading.py --data path/to/Dataset [--image-size 224] [--workers 1]

Both give the same augmented crops in the same order; the second decodes the photo of each tooth,
as a home-made dataset does.
"""

from __future__ import annotations

import argparse
import tempfile
import time

import numpy as np

import medkit as mk
from medkit.images import crop, decode
from medkit.inference.predicting import make_dataset
from medkit.loading.loader import KeyedSampler, make_loader
from medkit.tables import visible


class Originals:
    """In place of a cache: decode and crop at each access."""

    def __init__(self, cases, config):
        self.paths, self.regions, self.config = list(cases["path"]), list(cases["region"]), config

    def __len__(self):
        return len(self.paths)

    def __getitem__(self, row):
        image, c = decode.read_image(self.paths[row]), self.config
        shape = {"size": c.image_size, "margin": c.region_margin, "mask": c.region_mask}
        return crop.crop_region(image, self.regions[row], **shape)


def rate(dataset, count: int, workers: int) -> float:
    """Images a second, the start of the workers left out."""
    sampler = KeyedSampler(np.arange(len(dataset)), 0, count=count)
    batches = iter(make_loader(dataset, sampler, batch_size=64, num_workers=workers))
    next(batches)
    began, images = time.perf_counter(), 0
    for batch in batches:
        images += len(batch.images)
    return images / (time.perf_counter() - began)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", required=True)
    parser.add_argument("--image-size", type=int, default=224)
    parser.add_argument("--workers", type=int, nargs="*", default=[0, 1, 2])
    arguments = parser.parse_args()
    task = mk.get_task("caries")
    cases = visible(task.read(arguments.data, "train")).reset_index(drop=True)
    config = mk.Config(task="caries", image_size=arguments.image_size)
    with tempfile.TemporaryDirectory() as folder:
        began = time.perf_counter()
        cached = make_dataset(task, config, cases, cache_folder=folder).augmented(config.augment)
        print(f"cache of {len(cases):,} crops built in {time.perf_counter() - began:.1f} s")
        original = cached.augmented(config.augment)
        original.cache = Originals(cases, config)
        for workers in arguments.workers:
            fast = rate(cached, min(len(cases), 3200), workers)
            slow = rate(original, min(len(cases), 640), workers)
            print(
                f"{arguments.image_size} px, {workers} workers: cache {fast:,.0f}/s, "
                f"originals {slow:,.0f}/s, ratio {fast / slow:.1f}"
            )


if __name__ == "__main__":
    main()
