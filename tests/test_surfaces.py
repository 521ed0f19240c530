from __future__ import annotations

import numpy as np
import pytest

from medkit.datasets.drawing.surfaces import (
    backdrop,
    develop,
    fitted,
    mix,
    noise,
    oval,
    polygon,
    relief,
    step,
)
from medkit.seeding import generator


@pytest.mark.parametrize("shape", [(16, 16), (40, 90), (512, 384)])
def test_noise_fills_its_shape_about_0(shape):
    field = noise(shape, 6, generator(1))
    assert field.shape == shape and field.dtype == np.float32
    assert abs(field.mean()) < 0.6 and 0.2 < field.std() < 1.5


def test_a_step_is_0_then_1_and_turns_round():
    value = np.linspace(-1, 2, 31)
    rising, falling = step(value, 0, 1), step(value, 1, 0)
    assert rising[0] == 0 and rising[-1] == 1 and (np.diff(rising) >= 0).all()
    assert np.allclose(rising + falling, 1)


def test_mixing_keeps_or_covers():
    canvas = np.zeros((1, 3, 3), np.float32)
    mix(canvas, (1.0, 0.5, 0.0), np.asarray([[0.0, 0.5, 1.0]]))
    assert np.allclose(canvas[0], [(0, 0, 0), (0.5, 0.25, 0), (1, 0.5, 0)])


def test_a_backdrop_is_lighter_where_it_is_told_and_never_turns_over():
    blotches = np.asarray([[-400.0, 0.0, 400.0]])
    assert backdrop((1, 3), (260, 100, -9), blotches).tolist() == [
        [[0, 0, 0], [255, 100, 0], [255, 255, 255]]
    ]


@pytest.mark.parametrize("colour", [(200, 100, 20), np.asarray([200.0, 100.0, 20.0]), 90.0])
def test_shapes_lie_where_they_are_told_with_smooth_edges(colour):
    grey = np.ndim(colour) == 0
    for k, shade in enumerate([colour] if grey else colour):
        canvas = np.zeros((60, 60) if grey else (60, 60, 3), np.uint8)
        oval(canvas, (20.5, 30.0), (10.0, 14.5), colour)
        polygon(canvas, [(40, 10), (55.5, 10), (55.5, 50), (40, 50)], colour)
        layer = canvas if grey else canvas[..., k]
        assert layer[30, 20] == layer[30, 45] == shade and layer[30, 35] == layer[5, 20] == 0
        covered = layer / shade
        assert covered[:, :35].sum() == pytest.approx(np.pi * 10 * 14.5, rel=0.15)
        assert ((covered > 0.1) & (covered < 0.9)).sum() > 8


def test_an_arc_and_a_line_leave_the_middle():
    canvas = np.zeros((60, 60), np.uint8)
    oval(canvas, (30, 30), (20, 20), 200, arc=(180, 360), thick=2)
    assert canvas[30, 30] == 0 and canvas[10, 30] > 150 and canvas[50, 30] == 0


def test_a_developed_picture_is_soft_and_grainy_and_coloured():
    canvas = np.zeros((40, 40, 3), np.uint8)
    canvas[:, 20:] = (100, 150, 250)
    picture = develop(canvas, generator(1), blur=1.5, grain=4)
    assert picture.dtype == np.uint8 and picture.shape == (40, 40, 3)
    assert 20 < picture[:, 19:21, 0].mean() < 80  # the edge
    spread = picture[:, 30:].astype(int) - (100, 150, 250)
    assert 2 < spread[..., 0].std() < 6 and abs(spread[..., 0].mean()) < 1
    assert (spread[..., 0] == spread[..., 1]).all()  # grain has no colour
    grey = develop(canvas[..., 0].astype(np.float32), generator(1), blur=1.5, grain=4)
    assert grey.shape == (40, 40, 3) and (grey[..., 0] == grey[..., 2]).all()


def test_exposure_is_a_factor_before_the_grain():
    canvas = np.full((64, 64, 3), 0.5, np.float32)
    dark, light = (develop(canvas, generator(1), blur=1, grain=3, exposure=k) for k in (100, 300))
    assert dark.mean() == pytest.approx(50, abs=1) and light.mean() == pytest.approx(150, abs=1)
    assert np.abs(light.astype(int) - dark - 100).max() <= 1


def test_a_fitted_picture_has_the_size_and_is_untouched_where_it_had_it():
    picture = np.zeros((20, 30, 3), np.uint8)
    assert fitted(picture, (15, 10)).shape == (10, 15, 3)
    assert fitted(picture, (30, 20)) is picture


def test_light_comes_from_the_left_and_above():
    x, y = np.meshgrid(np.arange(20.0), np.arange(20.0))
    for slope in (x, y):  # rising away from the light: its face is lit
        lit, dark, flat = (relief(k * slope, 60)[0][10, 10] for k in (0.3, -0.3, 0))
        assert dark < flat < lit and flat == pytest.approx(1)
