"""Photos of invented mouths: gums, palate or tongue, teeth, lips, and a camera with a flash.

Layers are RGB from 0 to 1, float32; `x` and `y` are the millimetres at which each pixel lies.
"""

from __future__ import annotations

import cv2
import numpy as np

from medkit.datasets.drawing.crowns import enamel
from medkit.datasets.drawing.mouths import Mouth, Tooth, place_teeth, rim
from medkit.datasets.drawing.surfaces import develop, mix, noise, polygon, relief, step


def paint_photo(
    mouth: Mouth, view: str, size: tuple[int, int], rng: np.random.Generator
) -> tuple[np.ndarray, list[tuple[Tooth, np.ndarray]]]:
    """A photo of a mouth, and its labelled teeth.

    Args:
        size: width and height in pixels.

    Returns:
        image: (H, W, 3) uint8 RGB.
        teeth: each labelled tooth with its outline, (48, 2) in pixels.
    """
    teeth = place_teeth(mouth, view, rng)
    matrix, extent = _frame(teeth, size, rng)
    outlines = [rim(tooth) @ matrix[:, :2].T + matrix[:, 2] for tooth in teeth]
    rows, columns = np.mgrid[: size[1], : size[0]].astype(np.float32)
    back = cv2.invertAffineTransform(matrix).astype(np.float32)
    x, y = (across * columns + down * rows + start for across, down, start in back)
    # What lies behind and before the teeth is soft: half the resolution does.
    half = (x[::2, ::2], y[::2, ::2])
    behind = (_inside if view in ("upper", "lower") else _gums)(mouth, teeth, *half, rng)
    canvas = cv2.resize(behind, size)
    _shade_around(canvas, outlines, scale=float(np.hypot(*matrix[0, :2])))
    seeds = rng.integers(2**32, size=len(teeth))  # so that decay on one tooth changes no other
    for tooth, outline, seed in zip(teeth, outlines, seeds):
        _paint_tooth(canvas, mouth, tooth, outline, x, y, np.random.default_rng(seed))
    lips = _lips(mouth, teeth, extent, *half, rng)
    shade, skin, alpha = (cv2.resize(layer, size) for layer in lips)
    canvas *= shade[..., None]
    mix(canvas, skin, alpha)
    _flash(canvas, rng)
    blur, grain, exposure = rng.uniform((0.5, 1, 220), (1.0, 3, 265))
    image = develop(canvas, rng, blur=blur, grain=grain, exposure=exposure)
    labelled = [(tooth, outline) for tooth, outline in zip(teeth, outlines) if tooth.labelled]
    return image, labelled


def _frame(
    teeth: list[Tooth], size: tuple[int, int], rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """The (2, 3) matrix from millimetres to pixels by which the labelled teeth fill the picture.

    Returns: the matrix; the teeth's width and height in millimetres.
    """
    points = np.concatenate([rim(tooth) for tooth in teeth if tooth.labelled])
    low, high = points.min(0), points.max(0)
    extent, middle = high - low, (low + high) / 2
    room = np.asarray(size) / (extent * rng.uniform(1.06, 1.22) + 1)
    matrix = cv2.getRotationMatrix2D(middle.tolist(), rng.normal(0, 2), room.min())
    matrix[:, 2] += np.asarray(size) * rng.normal(0.5, 0.012, 2) - middle
    return matrix, extent


def _moist(
    colour: np.ndarray, shape: tuple[int, int], cells: float, rng: np.random.Generator
) -> np.ndarray:
    """Mucosa: blotches of colour, bumps and small glints: (H, W, 3) float32."""
    bumps = noise(shape, cells, rng) + 0.2 * noise(shape, cells * 4, rng)
    diffuse, gloss = relief(bumps * (min(shape) / cells * 0.10), 120)
    surface = np.asarray(colour, np.float32) * (0.75 + 0.25 * diffuse[..., None])
    surface[..., 1:] *= 1 - 0.05 * noise(shape, 5, rng)[..., None]
    return surface + (0.3 * gloss * step(noise(shape, 4, rng), 0.2, 1.2))[..., None]


def _gums(mouth: Mouth, teeth: list[Tooth], x, y, rng) -> np.ndarray:
    """Gums above and below the teeth, with papillae between them; the dark mouth behind."""
    canvas = np.full((*x.shape, 3), (0.17, 0.06, 0.06), np.float32)
    pink = _moist(mouth.gum, x.shape, 14, rng)
    red = _moist(mouth.gum * (0.82, 0.52, 0.52), x.shape, 6, rng)
    for upper, sign in ((True, 1), (False, -1)):  # the way from the gum to the teeth
        row = sorted((t for t in teeth if t.upper == upper), key=lambda t: t.centre[0])
        at, middles = np.transpose([t.centre for t in row])
        necks = middles - [t.axis[1] * t.length / 2 for t in row]
        spots = np.arange(1, len(row))  # on a tooth, between two, on the next one, ...
        places = np.insert(at, spots, (at[1:] + at[:-1]) / 2)
        edges = np.insert(necks + sign, spots, (middles[1:] + middles[:-1]) / 2)
        line = np.interp(x, places, edges).astype(np.float32)
        ridge = np.interp(x, places, np.resize([1.0, -1.0], len(places))).astype(np.float32)
        away = (np.interp(x, at, necks).astype(np.float32) - y) * sign  # into the gum
        light = (1 + 0.10 * ridge * step(away, 9, 0)) * (1 - 0.12 * step(away, 1.2, 0))
        gum = pink * light[..., None]
        mix(gum, red, step(away + 1.2 * noise(x.shape, 5, rng), 3.5, 9))
        mix(canvas, gum, step((line - y) * sign, -0.25, 0.25))
    return canvas


def _inside(mouth: Mouth, teeth: list[Tooth], x, y, rng) -> np.ndarray:
    """Palate, or tongue and floor, inside the arch; gum along it; lips and cheeks beyond."""
    across, deep = np.abs([t.centre for t in teeth if t.labelled]).max(0).tolist()
    ahead = -y if teeth[0].upper else y  # towards the incisors
    front = (ahead + 0.8 * deep) / (1.8 * deep)  # 0 at the molars, 1 at the incisors
    rim_at = np.hypot(x / across, np.clip(front, 0, 2))  # 1 on the arch
    canvas = _moist(mouth.gum * (0.72, 0.50, 0.50), x.shape, 5, rng)
    mix(canvas, _moist(mouth.gum, x.shape, 16, rng), step(rim_at, 1.34, 1.22))
    if teeth[0].upper:
        middle = _moist(mouth.gum * (0.98, 0.86, 0.84), x.shape, 8, rng)
        wave = np.sin(front * 26 + 3 * np.abs(x) / across + 0.7 * noise(x.shape, 6, rng))
        folds = 0.06 * wave * step(front, 0.35, 0.6) * step(np.abs(x), 0.2, 3)
        seam = 0.10 * np.exp(-((x / 0.6) ** 2))
        light = (1 + folds - seam) * (0.86 + 0.14 * step(rim_at, 0.9, 0.2))
    else:
        middle = _moist(mouth.gum * (0.86, 0.70, 0.72), x.shape, 8, rng)
        tongue = _moist(mouth.gum * (1.0, 0.80, 0.80), x.shape, 12, rng)
        fuzz = 1 + 0.05 * noise(x.shape, 60, rng) - 0.16 * np.exp(-((x / 0.8) ** 2))
        dome = 1.06 - 0.35 * np.clip(np.abs(x) / across, 0, 1) ** 2
        edge = np.hypot(x / (across * 0.72), (ahead + deep * 1.1) / (deep * 1.45))
        mix(middle, tongue * (fuzz * dome)[..., None], step(edge, 1.02, 0.93))
        light = 0.72 + 0.28 * step(rim_at, 0.1, 0.8)
    mix(canvas, middle * light[..., None], step(rim_at, 0.86, 0.74))
    return canvas


def _shade_around(canvas: np.ndarray, outlines: list[np.ndarray], *, scale: float) -> None:
    """Darken what lies around and between the teeth; `scale` is pixels a millimetre."""
    shape = np.zeros(canvas.shape[:2], np.uint8)
    cv2.fillPoly(shape, [np.rint(outline).astype(np.int32) for outline in outlines], 255)
    for reach, depth in ((1.5, 0.38), (0.35, 0.35)):
        shadow = cv2.GaussianBlur(shape, (0, 0), max(0.6, reach * scale))
        canvas *= 1 - shadow[..., None] * np.float32(depth / 255)


def _paint_tooth(
    canvas: np.ndarray, mouth: Mouth, tooth: Tooth, outline: np.ndarray, x, y, rng
) -> None:
    """One tooth, on the part of the canvas that it covers."""
    low = np.maximum(np.floor(outline.min(0)).astype(int) - 3, 0)
    high = np.minimum(np.ceil(outline.max(0)).astype(int) + 4, canvas.shape[1::-1])
    if (high - low).min() < 4:  # outside the picture
        return
    part = (slice(low[1], high[1]), slice(low[0], high[0]))
    shape = np.zeros(x[part].shape, np.uint8)
    polygon(shape, outline - low, 255)
    x, y = (at[part] - np.float32(middle) for at, middle in zip((x, y), tooth.centre))
    along, down = tooth.axis.astype(np.float32)
    u = (x * down - y * along) / np.float32(tooth.width)
    v = (x * along + y * down) / np.float32(tooth.length) + np.float32(0.5)
    mix(canvas[part], enamel(mouth, tooth, shape, u, v, rng), shape / np.float32(255))


def _lips(
    mouth: Mouth, teeth: list[Tooth], extent: np.ndarray, x, y, rng
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Lips and cheeks around the opening: the shadow they throw, their colours, where they are."""
    from_above = teeth[0].from_above
    if from_above:  # the opening goes on behind the molars
        centre = (0.0, extent[1] * (0.56 if teeth[0].upper else -0.56))
        half = extent * (0.5, 1.0) + (4.5, 4.0)
    else:
        centre = np.mean([t.centre for t in teeth if t.labelled], 0)
        half = extent / 2 + (1.0, 4.0)
    half = half * rng.uniform(0.98, 1.07, 2)
    x, y = ((at - np.float32(c)) / np.float32(h) for at, c, h in zip((x, y), centre, half))
    away = (np.abs(x) ** 2.7 + np.abs(y) ** 2.7) ** np.float32(1 / 2.7) - 1
    away += 0.02 * noise(x.shape, 3, rng)
    shade = 1 - 0.45 * step(away, -0.14, 0.02)
    if not from_above:  # less light reaches the back
        shade *= 1 - 0.6 * step(np.abs(x), 0.68, 1.0)
    roundness = 0.58 + 0.49 * step(away, -0.01, 0.13) - 0.15 * step(away, 0.2, 0.6)
    skin = _moist(mouth.lip, x.shape, 9, rng) * roundness[..., None]
    gloss = np.exp(-(((away - 0.11) / 0.035) ** 2)) * step(noise(x.shape, 7, rng), 0.0, 1.5)
    return shade, skin + 0.30 * gloss[..., None], step(away, -0.008, 0.012)


def _flash(canvas: np.ndarray, rng: np.random.Generator) -> None:
    """The flash, which falls off to the corners, and its colour."""
    height, width = canvas.shape[:2]
    y, x = np.ogrid[-1 : 1 : height * 1j, -1 : 1 : width * 1j]
    fall = (1.06 - 0.22 * (x * x + y * y)).astype(np.float32)
    canvas *= fall[..., None] * rng.normal(1, 0.012, 3).astype(np.float32)
