import subprocess
import sys

import pytest

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
def test_unknown_budget_is_one_line_with_what_there_is(budget: str) -> None:
    with pytest.raises(SslbenchError, match=r"unknown budget .*standard.*100ep") as caught:
        catalogue.epochs("digits", budget)
    assert "\n" not in str(caught.value)


def test_unknown_data_set_names_the_nearest() -> None:
    with pytest.raises(SslbenchError, match="did you mean 'fashion_mnist'"):
        catalogue.resolve("fashionmnist")
    with pytest.raises(SslbenchError, match="known: digits, mnist"):
        catalogue.resolve("?")
    with pytest.raises(SslbenchError, match="unknown data set 'folder:'"):
        catalogue.resolve("folder:")


def test_small_images_get_the_small_backbone_by_default() -> None:
    slim = {name for name in catalogue.names() if catalogue.default_backbone(name) == "resnet9_slim"}
    assert slim == {"digits", "mnist", "fashion_mnist", "kmnist"}
    assert catalogue.default_backbone("folder:pictures") == "resnet18"


def test_batch_is_never_more_than_a_quarter_of_train() -> None:
    assert [catalogue.batch_size(images) for images in (8, 1000, 1024, 60_000)] == [2, 250, 256, 256]
