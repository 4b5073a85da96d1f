import importlib
import inspect
import subprocess
import sys

import pytest
import torchvision

from bench.data import catalogue
from bench.errors import SslbenchError


def test_catalogue_and_location_import_no_torch() -> None:
    code = "import sys, bench.data, bench.data.catalogue, bench.data.locate; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.parametrize(
    ("name", "budget", "epochs"),
    [
        ("digits", "smoke", 2),
        ("digits", "standard", 60),
        ("kmnist", "quick", 5),
        ("fashion_mnist", "standard", 50),
        ("cifar100", "long", 800),
        ("folder:somewhere/pictures.zip", "standard", 200),
        ("digits", "100ep", 100),
    ],
)
def test_budgets_are_those_of_the_protocols(name: str, budget: str, epochs: int) -> None:
    assert catalogue.epochs(name, budget) == epochs


@pytest.mark.parametrize("budget", ["standart", "0ep", "-3ep", "ep", "1e3ep", ""])
def test_unknown_budget_is_one_line_with_the_known_budgets(budget: str) -> None:
    with pytest.raises(SslbenchError, match=r"unknown budget .*standard.*100ep") as caught:
        catalogue.epochs("digits", budget)
    assert "\n" not in str(caught.value)


def test_unknown_data_set_names_the_nearest() -> None:
    with pytest.raises(SslbenchError, match="did you mean 'fashion_mnist'"):
        catalogue.resolve("fashionmnist")
    with pytest.raises(SslbenchError, match=f"known: {', '.join(catalogue.names())}"):
        catalogue.resolve("?")
    with pytest.raises(SslbenchError, match="unknown data set 'folder:'"):
        catalogue.resolve("folder:")


def test_small_images_get_the_small_backbone_by_default() -> None:
    for entry in catalogue.ENTRIES:
        assert catalogue.default_backbone(entry.name) == ("resnet9_slim" if entry.size < 32 else "resnet18")
    assert catalogue.default_backbone("folder:pictures") == "resnet18"


def test_batch_is_at_most_a_quarter_of_train() -> None:
    assert [catalogue.batch_size(images) for images in (8, 1000, 1024, 60_000)] == [2, 250, 256, 256]


@pytest.mark.parametrize("entry", [*catalogue.ENTRIES, *catalogue.OWN_ENTRIES], ids=lambda entry: entry.name)
def test_reader_of_every_data_set_takes_name_folder_and_size(entry: catalogue.Entry) -> None:
    reader = importlib.import_module(f"bench.data.{entry.reader}")
    assert list(inspect.signature(reader.read).parameters) == ["name", "folder", "size"]


@pytest.mark.parametrize("entry", catalogue.ENTRIES, ids=lambda entry: entry.name)
def test_every_published_set_has_files_or_comes_with_a_package(entry: catalogue.Entry) -> None:
    assert bool(entry.forms) is (entry.package is None)
    assert not entry.forms or entry.forms[-1].largest is None
    for form in entry.forms:
        if form.download is not None:
            kind = getattr(torchvision.datasets, form.download.torchvision)
            assert {"root", "download", *form.download.arguments} <= set(inspect.signature(kind).parameters)
