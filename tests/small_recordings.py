"""EDF files as tests need them."""

from __future__ import annotations

import numpy as np


def write_recording(path, *, seconds=95, channels=("C3-M2", "EOG"), stages=(), seed=0):
    """A recording of noise; every second 30 s are slow and loud."""
    import pyedflib

    rng = np.random.default_rng(seed)
    rates = [100 if k == 0 else 50 for k in range(len(channels))]
    path.parent.mkdir(parents=True, exist_ok=True)
    writer = pyedflib.EdfWriter(str(path), len(channels), pyedflib.FILETYPE_EDFPLUS)
    try:
        for k, (label, rate) in enumerate(zip(channels, rates)):
            header = {"label": label, "dimension": "uV", "sample_frequency": rate}
            limits = {"physical_max": 500.0, "physical_min": -500.0}
            digits = {"digital_max": 32767, "digital_min": -32768}
            writer.setSignalHeader(
                k, {**header, **limits, **digits, "transducer": "", "prefilter": ""}
            )
        signals = []
        for rate in rates:
            time = np.arange(seconds * rate) / rate
            slow = 100 * np.sin(2 * np.pi * 2 * time) * (time // 30 % 2)
            signals.append(rng.normal(0, 10, len(time)) + slow)
        writer.writeSamples(signals)
        for onset, length, text in stages:
            writer.writeAnnotation(onset, length, text)
    finally:
        writer.close()
    return path
