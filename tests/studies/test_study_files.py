"""Study files: those of sslbench are complete, and a mistake in a file is reported in one line that says where it is."""

import json
import os
import re
from io import StringIO

import pytest
from rich.console import Console
from support.study_file import study_text

from bench.errors import SslbenchError
from bench.planning.settings import typed_settings
from bench.registry.methods import check_method
from bench.studies.formats import screen, to_markdown, to_table
from bench.studies.load import find, names, read, variants
from bench.studies.requests import StudyOptions, apply_options, pretrainings_of, requests
from bench.studies.results import StudyResults, SystemResult
from bench.studies.table import build_report

WHOLE = study_text(method="random_init", protocol="scratch-1")

MISTAKES = [
    (WHOLE + "settings = { x = 2020-01-01 }\n", "must be text, a number"),
    (WHOLE + "settings = { x = { y = 1 } }\n", "must be text, a number"),
    (WHOLE + "settings = { x = [[1]] }\n", "must be text, a number"),
    (WHOLE + "settings." + "a." * 20_000 + "a = 1\n", "is a table: must be text, a number"),
    (WHOLE + "note = " + "[" * 400 + "]" * 400 + "\n", "is a list: must be text"),
    (WHOLE.replace("seeds = 1", "seeds = 2020-01-01"), "seeds is datetime.date"),
    (WHOLE.replace("seeds = 1", "seeds = 10000000"), "at most 10,000"),
    (WHOLE.replace("seeds = 1", "seeds = " + "9" * 30), "too large"),
    (WHOLE.replace("seeds = 1", "seeds = " + "9" * 5000), "not valid TOML"),
    (WHOLE.replace("differs = []", "differs = " + "[" * 5000 + "]" * 5000), "nested too deeply"),
    (WHOLE.replace('"T"', '"' + "T" * 80_000 + '"'), "at most 10,000 characters"),
    (WHOLE.replace('"digits"', '"folder:a\\u0000b"'), "null characters"),
    (WHOLE.replace("scratch-1", "knn@k=²"), "takes a value like 20"),
    (WHOLE + "share = nan\n", "must be finite"),
    (WHOLE + "published = { top1 = inf }\n", "must be finite"),
    (WHOLE + "published = { top1 = 101 }\n", "published.top1 must be 0 or more, and at most 100"),
    (WHOLE + "batch = 0\n", "batch must be 2 or more"),
    (WHOLE + "snapshots = -1\n", "snapshots must be 1 or more"),
    ("x = " + "1" * 1_000_001, "more than 1,000,000 bytes"),
    (
        WHOLE
        + "[search.grid]\n"
        + "".join(f"a{n} = [1, 2, 3, 4, 5, 6, 7, 8, 9, 10]\n" for n in range(10))
        + '[[search.systems]]\nsystem = "a"\nprotocol = "scratch-1"\nconstants = {}\n',
        "more than 1,000 combinations",
    ),
    ("titel = 1\n" + WHOLE, "unknown entry 'titel': did you mean 'title'?"),
    (WHOLE.replace('title = "T"\n', ""), "'title' is missing"),
    (WHOLE.replace("seeds = 1", "seeds = 0"), "seeds must be 1 or more"),
    (WHOLE.replace("seeds = 1", 'seeds = "one"'), "seeds is 'one'"),
    (WHOLE.replace("scratch-1", "scratchh-1"), "unknown protocol 'scratchh-1'"),
    (WHOLE.replace('"mlp"', '"mlpp"'), "did you mean 'mlp'"),
    (WHOLE.replace('"digits"', '"digit"'), "did you mean 'digits'"),
    (WHOLE + "share = 1.5\n", "share 1.5"),
    (WHOLE + "published = { top3 = 50 }\n", "published.top3"),
    (WHOLE + '[[system]]\nid = "a"\nname = "B"\nmethod = "pixels"\nprotocol = "knn"\n', "two systems have the id 'a'"),
    (WHOLE + '[[comparison]]\nfirst = "a"\nsecond = "b"\n', "unknown system 'b'"),
    (WHOLE + '[[comparison]]\nfirst = "a"\nsecond = "a"\nmetric = "top3"\n', "did you mean 'top5'"),
    (WHOLE + '[[figure]]\nkind = "snapshot"\nsystems = ["a"]\ntitle = "F"\n', "did you mean 'snapshots'"),
    (WHOLE + '[[beside]]\nname = "B"\ntop1 = 50\nsystems = ["b"]\n', "unknown system 'b'"),
    (WHOLE + "[system]\n", "not valid TOML"),
    (WHOLE.partition("[[")[0], "'system' is missing"),
    (
        WHOLE
        + '[search.grid]\nrate = [0.1]\n[[search.systems]]\nsystem = "a"\nprotocol = "scratch-1"\nconstants = {}\n',
        "must name the axes of the grid, rate",
    ),
    (
        WHOLE
        + '[search.grid]\nrate = ["x"]\n[[search.systems]]\nsystem = "a"\nprotocol = "scratch-1"\nconstants = { rate = ["training.head_rate"] }\n',
        "takes a value like 0.05",
    ),
]


@pytest.mark.parametrize(("text", "message"), MISTAKES, ids=[message for _, message in MISTAKES])
def test_a_mistake_in_a_file_is_reported_in_one_line_that_names_the_file(text, message, tmp_path):
    path = tmp_path / "mine.toml"
    path.write_text(text)
    with pytest.raises(SslbenchError) as caught:
        read(path)
    assert message in str(caught.value)
    assert str(caught.value).startswith("study mine.toml")
    assert "\n" not in str(caught.value)


def test_the_error_for_an_unknown_study_suggests_the_nearest_name():
    with pytest.raises(SslbenchError, match="did you mean 'autoencoder-mnist'"):
        find("autoencoder-mnst")
    with pytest.raises(SslbenchError, match="cannot be read"):
        find("nowhere.toml")


@pytest.mark.parametrize("name", names())
def test_a_study_of_sslbench_names_existing_methods_and_settings(name):
    from bench.registry.methods import load_method

    study = find(name)
    for system in study.systems:
        check_method(system.method)
    for request in requests(study):
        pairs = dict(pair.split("=", 1) for pair in request.settings)
        typed_settings(request.methods[0], load_method(request.methods[0]), "convolutional", pairs)


@pytest.mark.parametrize("name", names())
def test_a_study_of_sslbench_names_its_source_in_every_format(name):
    study = find(name)
    report = build_report(
        study, StudyResults({system.id: SystemResult(system.protocol, []) for system in study.systems})
    )
    assert study.source
    assert study.source[-20:] in to_markdown(report)
    assert to_table(report)["source"] == study.source


def test_hostile_text_of_a_study_is_printed_as_escapes(tmp_path):
    hostile = r"\u001b]0;owned\u0007 [red]x[/] <b> \u202e [a](http://b) | `c` $\\input$"
    path = tmp_path / "mine.toml"
    path.write_text(WHOLE.replace('"T"', f'"{hostile}"').replace('"A"', f'"{hostile}"').replace('"P."', f'"{hostile}"'))
    study = read(path)
    report = build_report(study, StudyResults({"a": SystemResult("scratch-1", [])}))
    console = Console(file=StringIO(), width=80)
    console.print(screen(report, 80))
    assert isinstance(console.file, StringIO)
    for text in (console.file.getvalue(), to_markdown(report)):
        assert not set(text) & {"\x1b", "\x07", "\u202e"}
    assert "[red]x[/]" in console.file.getvalue()
    assert not re.search(r"(?<!\\)\]\(http", to_markdown(report))
    assert "<b>" not in to_markdown(report).replace(r"\<b", "")


def test_a_study_is_a_small_regular_file(tmp_path):
    pipe = tmp_path / "pipe.toml"
    os.mkfifo(pipe)
    for path in (pipe, tmp_path / "folder.toml"):
        if path != pipe:
            path.mkdir()
        with pytest.raises(SslbenchError, match="is not a file"):
            read(path)
    with pytest.raises(SslbenchError, match="rename it"):
        read(tmp_path / "...toml")


def test_systems_with_the_same_pretraining_share_it():
    (pretraining,) = pretrainings_of(find("vae-imagenet96"))
    assert len(pretraining.systems) == 5


def test_all_searched_systems_get_the_same_grid_and_their_own_constants():
    study = find("autoencoder-mnist")
    tried = [variants(study, searched.system) for searched in study.search.systems]
    grids = [sorted(str(point) for point in points.values() if point) for points in tried]
    assert grids[0] == grids[1] == grids[2]
    assert len(grids[0]) == 6
    for searched, points in zip(study.search.systems, tried, strict=True):
        assert study.system(searched.system).protocol in points


def test_a_system_keeps_its_own_budget_unless_the_user_names_one():
    def budgets(changes):
        study, _ = apply_options(find("autoencoder-mnist"), changes, None)
        return {request.methods[0]: request.budget for request in requests(study)}

    assert budgets(StudyOptions()) == {
        "autoencoder": "20ep",
        "visreg": "2ep",
        "nnclr": "2ep",
        "vicreg": "2ep",
        "swav": "2ep",
    }
    assert set(budgets(StudyOptions(budget="smoke")).values()) == {"smoke"}


def test_missing_data_are_replaced_by_the_fallback_with_smaller_protocols(tmp_path, monkeypatch):
    monkeypatch.setenv("SSLBENCH_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("SSLBENCH_DATA", raising=False)
    study = find("barlow-twins-stl10")
    with pytest.raises(SslbenchError, match=r"imagenette-96\.zip is neither here nor under --data-root"):
        apply_options(study, StudyOptions(), tmp_path)
    (tmp_path / "imagenette-96.zip").touch()
    adapted, fallback = apply_options(study, StudyOptions(), tmp_path)
    assert fallback
    assert adapted.dataset == f"folder:{tmp_path / 'imagenette-96.zip'}"
    assert adapted.system("pseudo-large").protocol == "pseudolabel-500+2000"
    for part in ("train_X", "train_y", "test_X", "test_y", "unlabeled_X"):
        (tmp_path / "stl10_binary").mkdir(exist_ok=True)
        (tmp_path / "stl10_binary" / f"{part}.bin").touch()
    adapted, fallback = apply_options(study, StudyOptions(), tmp_path)
    assert not fallback
    assert adapted.system("pseudo-large").protocol == "pseudolabel-5000+20000"


def test_studies_are_listed_as_json(sslbench):
    rows = json.loads(sslbench("list", "studies", "--format", "json").stdout)
    assert [row["study"] for row in rows] == names()
    assert all(row["rows"] >= 4 for row in rows)
