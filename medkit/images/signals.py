"""Signals over time as pictures: spectrograms and traces.

A painter is made for a whole recording, whose levels it keeps, and paints windows of it: a
function (start, length in seconds) -> (H, W) uint8.
"""

from __future__ import annotations

import math
from typing import Callable, Sequence, Tuple

import numpy as np

SEGMENT_S = 2.0  # of a spectrogram: its frequencies lie half a hertz apart
RANGE_DB = 30.0  # black and white lie so far below and above the median
Signal = Tuple[np.ndarray, float]  # values, and how many of them a second
Painter = Callable[[float, float], np.ndarray]


def spectrogram(
    signals: Sequence[Signal], *, size: tuple[int, int], frequencies: tuple[float, float]
) -> Painter:
    """A painter of power by frequency (low ones below) and time, a band a channel.

    Decibels against the channel's median over the whole recording: grey is alike, white 30 more.
    Frequencies that a slow channel cannot hold are black.
    """
    width, height = size
    low, high = frequencies
    levels = [
        np.median(_decibels(*signal, 0, len(signal[0]) / signal[1], 512)) for signal in signals
    ]

    def paint(start: float, length: float) -> np.ndarray:
        bands = []
        for (values, hz), level, rows in zip(signals, levels, _bands(height, len(signals))):
            repeats = int(np.clip(math.ceil(length / width / SEGMENT_S), 1, 8))  # of long windows
            power = _decibels(values, hz, start, length, width * repeats)
            power = power.reshape(width, repeats, -1).mean(1).T - level  # (frequencies, width)
            at = np.linspace(high, low, len(rows)) * SEGMENT_S  # rows of `power`
            near = np.minimum(np.round(at).astype(int), len(power) - 1)
            band = np.clip(power[near] / RANGE_DB / 2 + 0.5, 0, 1)
            band[at > hz / 2 * SEGMENT_S] = 0  # a slower channel has none
            bands.append(band)
        return np.round(np.concatenate(bands) * 255).astype(np.uint8)

    return paint


def _decibels(values: np.ndarray, hz: float, start: float, length: float, count: int) -> np.ndarray:
    """(count, frequencies): the power of `count` segments spread over a window."""
    size = int(round(SEGMENT_S * hz))
    last = min(len(values), int(round((start + length) * hz))) - size
    starts = np.linspace(min(start * hz, last), last, count).astype(int)
    segments = values[np.maximum(starts, 0)[:, None] + np.arange(size)]
    segments = (segments - segments.mean(1, keepdims=True)) * np.hanning(size)
    return 10 * np.log10(np.abs(np.fft.rfft(segments)) ** 2 + 1e-9)


def traces(
    signals: Sequence[Signal], *, size: tuple[int, int], frequencies: tuple[float, float] = ()
) -> Painter:
    """A painter of the signals themselves, dark on white, a band a channel.

    A band is as high as 99 of 100 values of the whole recording reach, up and down.
    """
    width, height = size
    middles = [np.median(values) for values, _ in signals]
    spans = [np.quantile(np.abs(v - m), 0.99) or 1.0 for (v, _), m in zip(signals, middles)]

    def paint(start: float, length: float) -> np.ndarray:
        bands = []
        for (values, hz), middle, span, rows in zip(
            signals, middles, spans, _bands(height, len(signals))
        ):
            edges = ((start + np.arange(width) * length / width) * hz).astype(int)
            shown = values[: int(round((start + length) * hz))]
            top = np.maximum.reduceat(shown, np.minimum(edges, len(shown) - 1))
            bottom = np.minimum.reduceat(shown, np.minimum(edges, len(shown) - 1))
            top[1:] = np.maximum(top[1:], bottom[:-1])  # no gaps between columns
            bottom[1:] = np.minimum(bottom[1:], top[:-1])
            half = (len(rows) - 1) / 2
            high, low = (half - half * np.clip((v - middle) / span, -1, 1) for v in (top, bottom))
            y = np.arange(len(rows))[:, None]
            bands.append(np.where((y >= np.floor(high)) & (y <= np.ceil(low)), 0, 255))
        return np.concatenate(bands).astype(np.uint8)

    return paint


PAINTERS = {"spectrogram": spectrogram, "traces": traces}


def _bands(height: int, count: int) -> list[np.ndarray]:
    return np.array_split(np.arange(height), count)
