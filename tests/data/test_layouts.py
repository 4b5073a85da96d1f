"""How folders are read, as a table: paths -> classes, numbers of images, what is left out; or the words of the error."""

import unicodedata
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from bench.data import load
from bench.data.describe import description
from bench.data.generated import generated
from bench.data.layout import layout
from bench.data.part_names import part_of
from bench.errors import SslbenchError


def _many(*folders: str, images: int = 3, ending: str = "png") -> list[str]:
    return [f"{folder}/{at}.{ending}" for folder in folders for at in range(images)]


SPLIT = [*_many("train/cat", "train/dog"), *_many("test/cat", "test/dog", images=2)]


@dataclass(frozen=True)
class Read:
    """Expected layout: classes, images of train, test and unlabelled, and kinds of files left out."""

    classes: tuple[str, ...] = ("cat", "dog")
    train: int = 6
    test: int = 0
    unlabelled: int = 0
    left_out: dict[str, int] = field(default_factory=dict)


READ = {
    "classes only": (_many("cat", "dog"), Read()),
    "parts": (SPLIT, Read(test=4)),
    "other spellings": (_many("Training/cat", "Training/dog", "TEST_SET/cat", "TEST_SET/dog"), Read(test=6)),
    "with years": (_many("train2017/cat", "train2017/dog", "val2017/cat", "val2017/dog"), Read(test=6)),
    "dev is the test part": (_many("train/cat", "train/dog", "Dev/cat", "Dev/dog"), Read(test=6)),
    "test is preferred to val": (
        [*SPLIT, *_many("valid/cat", "valid/dog", images=1)],
        Read(test=4, left_out={"images of valid/, because test/ is the test part": 2}),
    ),
    "labelled val is preferred to bare test": (
        [*_many("train/cat", "train/dog", "validation/cat", "validation/dog"), *_many("test", images=9)],
        Read(test=6, left_out={"images of test/, because they are not in class folders": 9}),
    ),
    "labelled val is preferred to test in one folder": (
        [*_many("train/cat", "train/dog", "val/cat", "val/dog"), *_many("test/images", images=9)],
        Read(test=6, left_out={"images of test/, because they are not in class folders": 9}),
    ),
    "only test is bare": (
        [*_many("train/cat", "train/dog"), *_many("test", images=9)],
        Read(left_out={"images of test/, because they are not in class folders": 9}),
    ),
    "unlabelled next to parts": ([*SPLIT, *_many("Unlabeled_images", images=7)], Read(test=4, unlabelled=7)),
    "unlabelled next to classes": ([*_many("cat", "dog"), *_many("unlabeled/any", images=7)], Read(unlabelled=7)),
    "folder around parts": ([f"pets/v2/{name}" for name in SPLIT], Read(test=4)),
    "folder around classes, next to documents": (
        [*_many("pets/cat", "pets/dog"), "pets/README.md", "notes/a.txt", "cover.jpg"],
        Read(left_out={"images in no class folder": 1, ".md files": 1, ".txt files": 1}),
    ),
    "part in a folder of the same name": (
        _many(
            "training_set/training_set/cat",
            "training_set/training_set/dog",
            "test_set/test_set/cat",
            "test_set/test_set/dog",
        ),
        Read(test=6),
    ),
    "folders below a class": (_many("cat/siamese", "cat/persian", "dog/poodle"), Read(train=9)),
    "class called like a part in both parts": (
        _many("train/bus", "train/train", "test/bus", "test/train"),
        Read(classes=("bus", "train"), test=6),
    ),
    "upper-case endings": (_many("cat", "dog", ending="JPEG"), Read()),
    "some files of a class are not images": (
        [*_many("cat", "dog"), "cat/a.heic", "cat/b.heic", "dog/video.mp4"],
        Read(left_out={".heic files": 2, ".mp4 files": 1}),
    ),
    "only train": (_many("train/cat", "train/dog"), Read()),
    "composed and decomposed names": (
        [
            *_many(unicodedata.normalize("NFC", "train/café"), "train/dog"),
            *_many(unicodedata.normalize("NFD", "test/café"), "test/dog"),
        ],
        Read(classes=("café", "dog"), test=6),
    ),
}
REFUSED = {
    "parts without class folders": (
        _many("train", "test", images=9),
        ["no class", "9 images in train/", "9 images in test/"],
    ),
    "only images": (["1.png", "2.png"], ["no class", "2 images in no folder"]),
    "no images": (["data.npz", "labels.npy"], ["no class", "1 .npz files"]),
    "one class": (_many("cat"), ["a single class, cat"]),
    "classes next to test": ([*_many("ok", "nok"), *_many("test")], ["parts (test/)", "nok/", "ok/"]),
    "classes next to Train": ([*_many("Train/cat", "Train/dog"), *_many("owl")], ["parts (Train/)", "owl/"]),
    "class called train": (_many("bus", "plane", "train"), ["parts (train/)", "rename"]),
    "no train": (_many("test/cat", "test/dog", "val/cat", "val/dog"), ["no images in train/", "test/", "val/"]),
    "the same part twice": ([*SPLIT, *_many("Training/cat")], ["train/", "Training/", "same part"]),
    "halves of two domains": (_many("trainA/x", "trainB/x", "testA/x", "testB/x"), ["same part"]),
    "parts below classes": (_many("cat/train", "cat/test", "dog/train", "dog/test"), ["folder train/ in class cat/"]),
    "unlabelled below train": (
        [*SPLIT, *_many("train/unlabeled", images=5)],
        ["class unlabeled is not in both train/ and test/"],
    ),
    "part below train without test": (
        _many("train/cat", "train/dog", "train/val"),
        ["train/val/", "called like a part"],
    ),
    "val and test without class folders": (
        _many("train/cat", "train/dog", "val/images", "test/images"),
        ["no class of train/ in test/", "images/"],
    ),
    "class only in train": ([*SPLIT, *_many("train/yak")], ["class yak", "only in train/: yak"]),
    "class only in val": (_many("train/a", "train/b", "val/a", "val/b", "val/c"), ["class c", "only in val/: c"]),
    "classes that differ in case": (_many("train/Cat", "train/dog", "test/cat", "test/dog"), ["Cat", "cat"]),
    "class of files that cannot be read": (
        [*_many("cat", "dog"), *_many("owl", ending="heic")],
        ["owl/", "3 .heic files", "PNG or JPEG"],
    ),
    "class of files without an ending": (
        [*_many("cat", "dog"), "owl/1", "owl/2"],
        ["owl/", "2 files without an ending"],
    ),
    "class of documents in a part": ([*SPLIT, "train/owl/1.txt"], ["train/owl/", ".txt files"]),
    "every class cannot be read": (_many("cat", "dog", ending="avif"), ["cat/", ".avif files"]),
}


@pytest.mark.parametrize("case", READ)
def test_layout_is_read(case: str) -> None:
    names, expected = READ[case]
    found = layout(names, "here")
    assert tuple(found.class_names) == expected.classes
    assert (len(found.train), len(found.test), len(found.unlabelled)) == (
        expected.train,
        expected.test,
        expected.unlabelled,
    )
    assert found.left_out == expected.left_out
    used = len(found.train) + len(found.test) + len(found.unlabelled)
    assert used + sum(found.left_out.values()) == len(names), "every file is used or counted"
    labels = {found.class_names[label] for _, label in found.train}
    assert labels == set(expected.classes)


@pytest.mark.parametrize("case", REFUSED)
def test_layout_is_refused_with_what_was_found(case: str) -> None:
    names, words = REFUSED[case]
    with pytest.raises(SslbenchError) as caught:
        layout(names, "here")
    message = str(caught.value)
    assert "\n" not in message and message.startswith("here ") and ": " in message
    assert all(word in message for word in words), message


def test_empty_folders_are_noted() -> None:
    found = layout(_many("cat", "dog"), "here", ["cat", "dog", "yak"])
    assert found.notes[0] == "yak/ is empty, so it is not a class"


@pytest.mark.parametrize(
    ("name", "part"),
    [
        ("Train", "train"), ("training-images", "train"), ("TrainSet", "train"), ("test1", "test"), ("Testing", "test"),
        ("validation", "val"), ("VALID", "val"), ("dev", "val"), ("unlabelled", "unlabelled"), ("Un-labeled", "unlabelled"),
        ("trains", None), ("testament", None), ("devon rex", None), ("cat", None), ("images", None), ("17", None), ("", None),
    ],
)  # fmt: skip
def test_names_of_parts(name: str, part: str | None) -> None:
    assert part_of(name) == part


def test_hidden_and_generated_files_are_recognised_by_name() -> None:
    hidden = (
        "cat/@eaDir/1.jpg/SYNOPHOTO_THUMB_M.jpg", "cat/.@__thumb/1.jpg", ".thumbnails/1.png", "cat/.picasaoriginals/1.jpg",
        "__MACOSX/cat/1.png", "cat/._1.png", "cat/.DS_Store", "cat/Thumbs.db", "DESKTOP.INI", "~$1.png", "cat/.~lock.1.png#",
        "$RECYCLE.BIN/1.png", "#recycle/1.png", ".ipynb_checkpoints/1.png", "cat/Icon\r", "lost+found/1.png", "cat/thumbnails/1.jpg",
        "cat/AlbumArt_{0A}_Large.jpg",
    )  # fmt: skip
    assert all(map(generated, hidden))
    assert not any(
        map(generated, ("cat/1.png", "thumb/1.png", "eaDir/1.png", "cat/1~.png", "a.b/c.d.png", "$100/1.png"))
    )


def _picture(path: Path, value: int | tuple[int, int, int]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("L" if isinstance(value, int) else "RGB", (8, 8), value).save(path)


def _grey_training_set(root: Path) -> None:
    for label in range(2):
        for at in range(6):
            _picture(root / f"train/{label}/{at}.png", 20 * at + label)
        _picture(root / f"test/{label}/0.png", 200 + label)


def test_colour_of_the_test_part_does_not_change_the_training_images(tmp_path: Path) -> None:
    _grey_training_set(tmp_path / "grey")
    _grey_training_set(tmp_path / "mixed")
    _picture(tmp_path / "mixed/test/0/1.png", (255, 0, 0))
    grey, mixed = (load(f"folder:{tmp_path / name}", image_size=8) for name in ("grey", "mixed"))
    assert (mixed.train_images == grey.train_images).all() and mixed.traits == grey.traits
    assert mixed.test_images[1].unique().tolist() == [76], "red as grey by ITU-R BT.601"
    assert any("1 other images in colour" in line for line in description(mixed))
    _picture(tmp_path / "mixed/train/0/0.png", (0, 0, 90))
    assert load(f"folder:{tmp_path / 'mixed'}", image_size=8).traits.channels == 3


def test_images_in_train_and_test_are_counted(tmp_path: Path) -> None:
    _grey_training_set(tmp_path)
    _picture(tmp_path / "test/1/copy.png", 20 * 3)
    (tmp_path / "test/1/copy.bmp").write_bytes(b"")
    Image.new("L", (8, 8), 20 * 4).save(tmp_path / "test/1/copy.bmp")
    dataset = load(f"folder:{tmp_path}", image_size=8)
    assert dataset.duplicates == 2
    assert any("2 of 4 test images" in line for line in description(dataset))
    assert load("digits").duplicates == 0


def test_small_development_task_says_so(tmp_path: Path) -> None:
    _grey_training_set(tmp_path)
    assert (
        "too few to choose settings on" in description(load(f"folder:{tmp_path}", image_size=8, development=True))[-1]
    )
    assert not load("digits", development=True).notes


def test_part_split_off_is_mapped_and_not_copied(tmp_path: Path) -> None:
    for label in range(2):
        for at in range(10):
            _picture(tmp_path / f"{label}/{at}.png", 20 * at + label)
    dataset = load(f"folder:{tmp_path}", image_size=8)
    begin, end = dataset.train_images.data_ptr(), dataset.test_images.data_ptr()
    assert end - begin == dataset.train_images.nbytes, "both parts are pieces of one mapped file"
    labels = dataset.test_labels.open().numpy()
    assert (dataset.test_images[:, 0, 0, 0].numpy() % 2 == labels).all() and np.bincount(labels).tolist() == [2, 2]


def test_links_that_lead_nowhere_are_errors_only_for_images(tmp_path: Path) -> None:
    _grey_training_set(tmp_path)
    (tmp_path / "latest.log").symlink_to(tmp_path / "nowhere")
    (tmp_path / "train/0/.hidden.png").symlink_to(tmp_path / "nowhere")
    assert load(f"folder:{tmp_path}", image_size=8).left_out["links that lead nowhere"] == 1
    (tmp_path / "train/0/annexed.png").symlink_to(tmp_path / "nowhere")
    with pytest.raises(SslbenchError, match=r"annexed\.png cannot be read"):
        load(f"folder:{tmp_path}", image_size=8)


def test_net_of_links_ends(tmp_path: Path) -> None:
    _grey_training_set(tmp_path)
    for at in range(30):
        (tmp_path / f"net/{at}").mkdir(parents=True)
    for at in range(29):
        for link in range(4):
            (tmp_path / f"net/{at}/{link}").symlink_to(tmp_path / f"net/{at + 1}")
    with pytest.raises(SslbenchError, match="more than 64 ways by symbolic links"):
        load(f"folder:{tmp_path}", image_size=8)


def test_name_of_no_user_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(SslbenchError, match="no home directory"):
        load("folder:~nobody-has-this-name/images")
