from __future__ import annotations

import numpy as np
import pytest

from medkit.images.signals import spectrogram, traces

SECONDS = 60


def wave(hz, rate, loud=1.0, seconds=SECONDS):
    return loud * np.sin(2 * np.pi * hz * np.arange(seconds * rate) / rate)


def test_a_wave_is_bright_at_its_frequency():
    rng = np.random.default_rng(0)
    values = np.concatenate([wave(10, 100, 20, 30), wave(20, 100, 20, 30)])
    paint = spectrogram(
        [(values + rng.normal(0, 1, len(values)), 100)], size=(60, 80), frequencies=(0, 40)
    )
    for start, hz in ((0, 10), (30, 20)):
        picture = paint(start, 30)
        assert picture.shape == (80, 60) and picture.dtype == np.uint8
        brightest = 40 * (1 - picture.mean(1).argmax() / 79)  # row 0 is 40 Hz
        assert abs(brightest - hz) < 0.75
    both = paint(0, SECONDS)
    assert 40 * (1 - both[:, :25].mean(1).argmax() / 79) == pytest.approx(10, abs=0.75)
    assert 40 * (1 - both[:, 35:].mean(1).argmax() / 79) == pytest.approx(20, abs=0.75)


def test_the_level_is_the_recordings_and_not_the_windows():
    rng = np.random.default_rng(0)
    values = rng.normal(0, 1, 100 * SECONDS)
    values[3000:] *= 10  # 20 dB
    paint = spectrogram([(values, 100)], size=(60, 40), frequencies=(1, 40))
    quiet, loud = paint(0, 30).mean(), paint(30, 30).mean()
    assert loud - quiet == pytest.approx(255 * 20 / 60, abs=4)


def test_channels_stand_below_each_other_and_slow_ones_are_black_above():
    signals = [(np.random.default_rng(0).normal(0, 1, 60 * hz), hz) for hz in (100, 20)]
    picture = spectrogram(signals, size=(50, 81), frequencies=(0, 40))(0, 30)
    assert picture.shape == (81, 50) and picture[:41].min() >= 0 and picture[:41].mean() > 90
    assert (picture[41:70] == 0).all()  # 20 values a second hold 10 Hz
    assert picture[71:79].mean() > 90


@pytest.mark.parametrize("rate", [1, 7, 256])
def test_a_trace_follows_its_signal_without_gaps(rate):
    values = wave(1 / 20, rate)
    picture = traces([(values, rate)], size=(120, 41))(0, SECONDS)
    assert picture.shape == (41, 120) and (picture == 0).any(0).all()
    rows = np.array([np.flatnonzero(column == 0).mean() for column in picture.T])
    expected = 20 - 20 * np.sin(2 * np.pi * (np.arange(120) + 0.5) / 40)
    assert np.abs(rows - expected).max() < (5 if rate > 1 else 9)
    ends = [(np.flatnonzero(c == 0).min(), np.flatnonzero(c == 0).max()) for c in picture.T]
    assert all(a[0] <= b[1] + 1 and b[0] <= a[1] + 1 for a, b in zip(ends, ends[1:]))


def test_flat_signals_are_painted_too():
    flat = [(np.zeros(6000), 100)]
    assert traces(flat, size=(30, 21))(0, 30).shape == (21, 30)
    assert (spectrogram(flat, size=(30, 20), frequencies=(1, 40))(0, 30) == 128).all()
