"""``sslbench inspect``: what it prints, and its picture."""

from pathlib import Path

import pytest
from PIL import Image

from bench.cli.inspect import inspect, lines
from bench.data import load
from bench.reports.contact_sheet import ACROSS, contact_sheet


def test_lines_count_classes_and_leave_test_labels_sealed() -> None:
    dataset = load("digits")
    text = "\n".join(lines(dataset))
    assert "1,438 training images (145 of them val), 359 test images" in text
    assert [line.split() for line in lines(dataset)[-10:]][3] == ["3", "146", "15"]
    assert dataset.test_labels.openings == 0


def test_a_duplicate_of_a_test_image_is_counted(tmp_path: Path) -> None:
    for part in ("train", "test"):
        for name, shade in (("a", 10), ("b", 200)):
            (tmp_path / part / name).mkdir(parents=True)
            for number in range(6):
                Image.new("L", (8, 8), shade + number).save(tmp_path / part / name / f"{number}.png")
    text = "\n".join(lines(load(f"folder:{tmp_path}", image_size=8)))
    assert "12 of 12 test images: the same pixels are also in the training images" in text


def test_picture_has_a_row_per_class_and_per_distinct_pipeline() -> None:
    dataset = load("digits")
    figure = contact_sheet(dataset)
    titles = [axis.get_ylabel() for axis in figure.axes[::ACROSS]]
    assert titles[:2] == ["0\n142 in train", "1\n146 in train"]
    named = [name.strip() for title in titles[10:] for name in title.replace("\n", " ").split(",")]
    assert {"simclr", "byol", "autoencoder", "emp_ssl"} <= set(named)
    assert len(named) == len(set(named))
    assert dataset.test_labels.openings == 0


def test_picture_is_written_as_png(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    inspect("digits", None, None, tmp_path / "sheet.png")
    assert f"wrote {tmp_path / 'sheet.png'}" in capsys.readouterr().out
    assert Image.open(tmp_path / "sheet.png").size[0] > 1000
