"""Files of true masks in all their forms, and what is refused of each."""

from __future__ import annotations

import json

import numpy as np
import pytest
from mask_contests import CLASSES, draw, make_task, planes, write
from PIL import Image

import medkit as mk
from medkit.datasets import mask_files
from medkit.images import rle

SIZE = (40, 56)


def masks_of(task, case):
    shape, found = task.read_masks(case)
    assert shape == SIZE and list(found) == list(task.scored.classes)
    return np.stack([rle.to_mask(found[name], shape) for name in found])


@pytest.fixture
def case(tmp_path):
    draw(tmp_path, 1)
    return {"id": "p00.png", "path": str(tmp_path / "images" / "p00.png"), "folder": tmp_path}


def at(case, path):
    return {**case, "masks": str(path)}


def test_a_picture_a_class(case):
    wanted = planes(0, SIZE)
    found = masks_of(make_task(), at(case, case["folder"] / "masks" / "{class}" / "p00.png"))
    assert np.array_equal(found, wanted)
    (case["folder"] / "masks" / "both" / "p00.png").unlink()  # a class that is nowhere
    found = masks_of(make_task(), at(case, case["folder"] / "masks" / "{class}" / "p00.png"))
    assert np.array_equal(found[:2], wanted[:2]) and not found[2].any()


def test_a_picture_whose_pixels_are_numbers(case):
    disc, bar, _ = planes(0, SIZE)
    numbers = np.where(bar, 2, disc).astype(np.uint8)
    path = write(case["folder"] / "index.png", numbers)
    two = ("disc", "bar")
    found = masks_of(make_task(classes=two, files=mk.MaskFiles()), at(case, path))
    assert np.array_equal(found, np.stack([numbers == 1, numbers == 2]))
    files = mk.MaskFiles(values={"disc": (1, 2), "bar": 2})
    found = masks_of(make_task(classes=two, files=files), at(case, path))
    assert np.array_equal(found, np.stack([numbers > 0, numbers == 2]))
    files = mk.MaskFiles(values={"disc": "any"}, ignore=(0, 2))
    found = masks_of(make_task(classes=("disc",), files=files), at(case, path))
    assert np.array_equal(found[0], numbers == 1)


def test_instances_of_16_bits_are_one_class(case):
    numbers = (np.arange(40 * 56).reshape(SIZE) % 900).astype(np.uint16)
    path = write(case["folder"] / "index.png", numbers)
    files = mk.MaskFiles(values={"disc": "any"})
    found = masks_of(make_task(classes=("disc",), files=files), at(case, path))
    assert np.array_equal(found[0], numbers > 0)


def coco(folder, polygons, *, size=(40, 56), name="p00.png", **change):
    """A JSON as COCO has them; polygons are (class, [x, y, ...])."""
    record = {
        "images": [
            {"id": 7, "file_name": f"some/where/{name}", "height": size[0], "width": size[1]}
        ],
        "categories": [{"id": 3, "name": "disc"}, {"id": 5, "name": "bar"}],
        "annotations": [
            {"image_id": 7, "category_id": {"disc": 3, "bar": 5}[label], "segmentation": [points]}
            for label, points in polygons
        ],
    }
    path = folder / "labels.json"
    path.write_text(json.dumps({**record, **change}), encoding="utf-8")
    return path


SQUARE = [2, 3, 9, 3, 9, 12, 2, 12]


def test_polygons_of_one_file_for_all(case):
    path = coco(case["folder"], [("disc", SQUARE), ("disc", [20, 3, 30, 3, 30, 12, 20, 12])])
    task = make_task(classes=("disc", "bar"), files=mk.MaskFiles("coco"))
    found = masks_of(task, at(case, path))
    assert found[0, 3:12, 2:9].all() and found[0, 3:12, 20:30].all() and not found[1].any()
    assert found[0].sum() == 9 * 7 + 9 * 10  # pixels whose middle is inside
    files = mk.MaskFiles("coco", values={"tumour": "disc"})
    renamed = masks_of(make_task(classes=("tumour",), files=files), at(case, path))
    assert np.array_equal(renamed[0], found[0])


@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("base", [0, 1])
def test_runs_of_one_file_for_all(case, order, base):
    wanted = planes(0, SIZE)
    rows = [
        f"p00,{name},{rle.encode(mask, order=order, base=base)}"
        for name, mask in zip(CLASSES, wanted)
    ]
    path = case["folder"] / "train.csv"
    path.write_text("image,class,runs\n" + "\n".join(rows) + "\n")
    layout = mk.Layout(key_columns=2, answer="runs", order=order, base=base)
    task = make_task(files=mk.MaskFiles("rle"), layout=layout)
    assert np.array_equal(masks_of(task, at(case, path)), wanted)


def test_rows_of_one_class_are_put_together(case):
    path = case["folder"] / "train.csv"
    path.write_text("ImageId,EncodedPixels\np00,1 3\np00,3 4\np00,\nother,1 1\n")
    layout = mk.Layout(key_columns=1, answer="runs")
    task = make_task(classes=("disc",), files=mk.MaskFiles("rle"), layout=layout)
    found = masks_of(task, at(case, path))
    assert found.sum() == 6 and found[0, 0, :6].all()


def test_columns_are_named_where_they_stand_otherwise(case):
    path = case["folder"] / "train.csv"
    path.write_text("runs,what,name\n1 3,disc,p00.png\n")
    columns = ("name", "what", "runs")
    task = make_task(classes=("disc",), files=mk.MaskFiles("rle", columns=columns))
    assert masks_of(task, at(case, path)).sum() == 3
    wrong = make_task(classes=("disc",), files=mk.MaskFiles("rle", columns=("image", "runs")))
    with pytest.raises(ValueError, match="columns runs, what, name .expected picture and runs"):
        masks_of(wrong, at(case, path))


def test_planes_may_be_jpegs_and_have_alpha(case):
    disc = planes(0, SIZE)[0]
    task = make_task(classes=("disc",))
    Image.fromarray(255 * disc).save(case["folder"] / "disc.jpg", quality=60)
    assert np.array_equal(masks_of(task, at(case, case["folder"] / "{class}.jpg"))[0], disc)
    opaque = np.dstack([255 * disc] * 3 + [np.full_like(disc, 255)])
    Image.fromarray(opaque).save(case["folder"] / "disc.png")
    assert np.array_equal(masks_of(task, at(case, case["folder"] / "{class}.png"))[0], disc)


def test_polygons_may_reach_the_edge(case):
    path = coco(case["folder"], [("disc", [50, 30, 56, 30, 56, 40, 50, 40])])
    task = make_task(classes=("disc", "bar"), files=mk.MaskFiles("coco"))
    assert masks_of(task, at(case, path))[0].sum() == 60


def test_ids_of_runs_stay_text(case):
    picture = case["folder"] / "images" / "0001.png"
    (case["folder"] / "images" / "p00.png").rename(picture)
    path = case["folder"] / "train.csv"
    path.write_text("ImageId,EncodedPixels\n0001,1 3\n")
    layout = mk.Layout(key_columns=1, answer="runs")
    task = make_task(classes=("disc",), files=mk.MaskFiles("rle"), layout=layout)
    own = {"id": "0001.png", "path": str(picture), "masks": str(path)}
    assert masks_of(task, own).sum() == 3


# what is refused


def grey(case, pixels):
    return at(case, write(case["folder"] / "index.png", pixels))


def test_pictures_of_masks_that_do_not_fit(case):
    task = make_task(classes=("disc", "bar"), files=mk.MaskFiles())
    with pytest.raises(ValueError, match="masks of 56 x 39 pixels .expected 56 x 40"):
        task.read_masks(grey(case, np.zeros((39, 56), np.uint8)))
    odd = np.zeros(SIZE, np.uint8)
    odd[0, :3] = 9
    with pytest.raises(ValueError, match=r"3 pixels are 9, which is none .*values=.*ignore="):
        task.read_masks(grey(case, odd))
    colour = np.random.default_rng(0).integers(0, 9, (*SIZE, 3)).astype(np.uint8)
    with pytest.raises(ValueError, match="a picture of 3 channels .expected one"):
        task.read_masks(grey(case, colour))
    Image.fromarray(np.zeros(SIZE, np.uint8)).save(case["folder"] / "index.jpg")
    with pytest.raises(ValueError, match="a JPEG changes the numbers of its pixels"):
        task.read_masks(at(case, case["folder"] / "index.jpg"))
    (case["folder"] / "index.png").write_bytes(b"no picture")
    with pytest.raises(ValueError, match="the masks cannot be read"):
        task.read_masks(at(case, case["folder"] / "index.png"))
    with pytest.raises(FileNotFoundError, match="the masks of 'p00.png' are gone"):
        task.read_masks(at(case, case["folder"] / "nowhere.png"))


@pytest.mark.parametrize(
    ("points", "words"),
    [
        ([1, 1, 2, 2], "has 2 points .expected 3 or more"),
        ([1, 1, 2, 2, 3], "no list of"),
        (["x", 1, 2, 2, 3, 3], "no list of"),
        ([60, 1, 70, 1, 70, 9], "lies outside the picture of 56 x 40 pixels"),
        ([1, -9, 7, -9, 7, -3], "lies outside the picture"),
    ],
)
def test_polygons_that_enclose_nothing(case, points, words):
    task = make_task(classes=("disc", "bar"), files=mk.MaskFiles("coco"))
    with pytest.raises(ValueError, match=f"p00.png, disc: the polygon .*{words}|{words}"):
        task.read_masks(at(case, coco(case["folder"], [("disc", points)])))


def test_jsons_that_are_of_something_else(case):
    folder, task = case["folder"], make_task(classes=("disc",), files=mk.MaskFiles("coco"))
    with pytest.raises(ValueError, match="class 'bar' .expected one of disc"):
        task.read_masks(at(case, coco(folder, [("bar", SQUARE)])))
    with pytest.raises(ValueError, match="masks of 99 x 40 pixels .expected 56 x 40"):
        task.read_masks(at(case, coco(folder, [], size=(40, 99))))
    with pytest.raises(ValueError, match="nothing of 'p00.png' .found other.png"):
        task.read_masks(at(case, coco(folder, [], name="other.png")))
    with pytest.raises(ValueError, match="not a JSON as COCO has them .no 'annotations'"):
        path = coco(folder, [])
        path.write_text(path.read_text().replace("annotations", "notes"))
        task.read_masks(at(case, path))
    runs = [{"image_id": 7, "category_id": 3, "segmentation": {"counts": [], "size": []}}]
    with pytest.raises(ValueError, match="runs in place of polygons"):
        task.read_masks(at(case, coco(folder, [], annotations=runs)))


@pytest.mark.parametrize("text", ["1 3 5", "5 2 1 2", "1 3 2 2", "0 2", "2239 9", "x"])
def test_runs_that_are_none(case, text):
    path = case["folder"] / "train.csv"
    path.write_text(f"image,class,runs\np00.png,disc,{text}\n")
    task = make_task(files=mk.MaskFiles("rle"))
    with pytest.raises(ValueError, match="train.csv: p00.png, disc: "):
        task.read_masks(at(case, path))


def test_forms_and_layouts_are_checked():
    with pytest.raises(ValueError, match="form 'cocoa' .expected one of index, .*'coco'"):
        mk.MaskFiles("cocoa")
    with pytest.raises(ValueError, match="layout: order='R' .expected one of 'C', 'F'"):
        mk.Layout(order="R")
    with pytest.raises(ValueError, match="layout: base=2"):
        mk.Layout(base=2)
    with pytest.raises(ValueError, match="values: found 'any' .expected anything by name"):
        mk.MaskFiles(values="any")
    with pytest.raises(ValueError, match="names 'disk', which is no class .*mean 'disc'"):
        make_task(files=mk.MaskFiles(values={"disk": "any"}))
    with pytest.raises(ValueError, match="no value of 'bar' .*or leave values out"):
        make_task(files=mk.MaskFiles(values={"disc": 2}))


def test_a_task_keeps_how_its_files_are_read():
    values = {"disc": [1, 2], "bar": 3, "both": 4}
    files = mk.MaskFiles(values=values, ignore=[0, 9], columns=["a", "b"])
    task = make_task(files=files)
    from medkit.datasets.task import from_description

    again = from_description(json.loads(json.dumps(task.describe())))
    assert again.mask_files == files and again.layout == task.layout
    assert again.layout.key_columns == 2 and again.layout.answer == "runs"


def test_what_a_file_holds_has_a_name(case):
    place = str(case["folder"] / "masks" / "{class}" / "p00.png")
    first = mask_files.fingerprint(place, CLASSES)
    assert len(first) == 16 and first == mask_files.fingerprint(place, CLASSES)
    other = planes(1, SIZE)
    write(case["folder"] / "masks" / "bar" / "p00.png", 255 * other[1])
    assert mask_files.fingerprint(place, CLASSES) != first
