import re

import pytest

from bench.filenames import file_name, method_folder, slug


@pytest.mark.parametrize("name", ["digits", "resnet9_slim", "100ep", "folder-birds-1f2e3d4c", "lowshot-1"])
def test_safe_names_are_unchanged(name: str) -> None:
    assert file_name(name) == name


@pytest.mark.parametrize(
    "name",
    [
        "folder:../my birds",
        "timm:vit_small.dino",
        "checkpoint:/tmp/a/b.pt",
        "..",
        ".",
        "",
        "a" * 300,
        "ä/ö",
        "x\0y",
        "-rf",
    ],
)
def test_unsafe_names_become_one_safe_path_component(name: str) -> None:
    assert re.fullmatch(r"[a-z0-9_][A-Za-z0-9_.-]{0,63}", file_name(name))
    assert re.search(r"[0-9a-f]{8}$", file_name(name))


def test_different_unsafe_names_get_different_files() -> None:
    names = ["folder:/a/birds", "folder:/b/birds", "folder:/b/Birds", "folder:/b/birds/"]
    assert len({file_name(name) for name in names}) == len(names)


def test_a_slug_has_the_end_of_a_path_and_the_hash_of_its_content() -> None:
    assert slug("folder:/data/My Birds.zip", "1F2E3D4C5B6A") == "folder-my-birds-zip-1f2e3d4c"


def test_changed_settings_are_sorted_by_key() -> None:
    assert method_folder("simclr", {}) == "simclr"
    assert (
        method_folder("simclr", {"b": 2, "a": 0.5}) == method_folder("simclr", {"a": 0.5, "b": 2}) == "simclr+a=0.5,b=2"
    )


def test_long_or_unsafe_settings_become_distinct_safe_path_components() -> None:
    odd = [{"path": "../../etc"}, {"path": "../../etd"}, {"scale": [0.2, 1.0]}, {"x": "y" * 500}]
    folders = {method_folder("simclr", settings) for settings in odd}
    assert len(folders) == len(odd)
    assert all(re.fullmatch(r"simclr\+[A-Za-z0-9._=,-]{1,64}", folder) for folder in folders)
