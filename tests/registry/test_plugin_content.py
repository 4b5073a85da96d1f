"""The content of a plugin is part of a run's identity: changed code is another run, unchanged code is not run again."""

import os
from dataclasses import replace
from pathlib import Path

import pytest
from support.in_process import context_of, options_of, perform

from bench.errors import SslbenchError
from bench.execution.run import execute
from bench.planning.plan_runs import plan_runs
from bench.planning.request import Request
from bench.records.lookup import find
from bench.records.store import Store
from bench.registry.methods import content_of, load_method
from bench.registry.plugins import load_plugin
from bench.registry.protocols import content_of as protocol_content

PROTOCOL = """
import torch
from protocols.base import EvaluationProtocol, Predictions
from protocols.entry import Entry

PROTOCOLS = [Entry("constant_answer", 1, "always the first class", "none", __name__)]


class Constant(EvaluationProtocol):
    def predict(self, task):
        scores = torch.full((len(task.test_images), task.classes), -3.0)
        scores[:, {answer}] = -0.1
        return Predictions([scores])
"""


def content(path):
    load_plugin(path)
    return content_of(Path(path).stem)


def reason(store, path, protocols=("knn",)):
    options = options_of(store.root, plugins=(path,))
    (run,) = plan_runs(Request(methods=["example_method"], budget="smoke", protocols=protocols), options).runs
    return run.reason


def test_changed_code_is_another_run_and_both_rows_exist(write, tmp_path):
    store = Store(tmp_path / "results")
    path = write("example_method.py", spread=1.0)
    load_plugin(path)
    first = perform(store, "example_method", budget="smoke")
    assert first.identity.plugin is not None and len(first.identity.plugin) == 12
    assert reason(store, path) == "recorded"

    write("example_method.py", spread=0.5)
    assert reason(store, path) == "new"
    second = perform(store, "example_method", budget="smoke")
    assert second.identity == replace(first.identity, plugin=second.identity.plugin)
    assert second.identity.plugin != first.identity.plugin
    assert second.curve["loss"] != first.curve["loss"], "the encoder of the earlier code was not taken up"
    records, _ = store.read_all()
    assert {record.identity.plugin for record in records} == {first.identity.plugin, second.identity.plugin}
    assert store.encoder_path(first.identity).exists() and store.encoder_path(second.identity).exists()
    assert find(store, f"example_method@{first.identity.plugin}").identity == first.identity

    write("example_method.py", spread=1.0)
    assert reason(store, path) == "recorded", "the first content again is the first run"


def test_one_record_is_found_by_the_methods_name_alone(write, tmp_path):
    store = Store(tmp_path / "results")
    write("example_method.py")
    load_plugin(str(tmp_path / "example_method.py"))
    write("example_method2.py")
    load_plugin(str(tmp_path / "example_method2.py"))
    first = perform(store, "example_method", budget="smoke")
    perform(store, "example_method2", budget="smoke")
    assert find(store, "example_method").identity == first.identity


def test_a_checkpoint_of_earlier_code_is_not_resumed(write, tmp_path):
    store = Store(tmp_path / "results")
    load_plugin(write("example_method.py"))
    from support.in_process import stopped

    stopped(store, "example_method", stop_at=3, budget="smoke")
    load_plugin(write("example_method.py", spread=0.5))
    resumed = perform(store, "example_method", budget="smoke")
    assert "resumed" not in store.log_path(resumed.identity).read_text()


def test_a_run_whose_plugin_changed_after_planning_fails(write, tmp_path):
    store = Store(tmp_path / "results")
    options = options_of(store.root, plugins=(write("example_method.py"),))
    (run,) = plan_runs(Request(methods=["example_method"], budget="smoke", protocols=("knn",)), options).runs
    load_plugin(write("example_method.py", spread=0.5))
    record = execute(run, options.dataset.load(), context_of(options))
    assert record is not None and record.status == "failed"
    assert "its plugin changed after the run was planned" in (record.cause or "")


@pytest.mark.parametrize(
    "imports",
    [
        "import my_helper",
        "from my_helper import factor",
        "import my_package.part",
        "from my_package import part",
        "from my_package.part import factor",
        "def _late():\n    import my_helper\n",
        "import importlib\n_helper = importlib.import_module('my_helper')",
        "import importlib\n_helper = importlib.import_module('my' + '_helper')",
        "import through_another",
    ],
)
def test_a_changed_helper_is_another_content(write, imports):
    write("my_helper.py", "factor = 1.0")
    write("my_package/__init__.py", "# a package")
    write("my_package/part.py", "from . import other\nfactor = other.factor")
    write("my_package/other.py", "factor = 1.0")
    write("through_another.py", "import my_helper\n")
    path = write("example_method.py", imports=imports)
    first = content(path)
    assert content(path) == first
    for name in ("my_helper.py", "my_package/part.py", "my_package/other.py"):
        with (Path(path).parent / name).open("a") as file:
            file.write("# a comment\n")
    assert content(path) != first


def test_only_what_is_imported_from_its_own_folder_counts(write):
    path = write("example_method.py")
    first = content(path)
    write("unrelated.py", "x = 1")
    write("table.csv", "1,2")
    assert content(path) == first
    write("example_method.py", imports="# a comment")
    assert content(path) != first


def test_the_content_does_not_depend_on_other_plugins_of_the_folder(write):
    write("my_helper.py", "factor = 1.0")
    other = write("other_method.py", imports="import my_helper")
    path = write("example_method.py")
    first = content(path)
    load_plugin(other)
    Path(path).with_name("my_helper.py").write_text("factor = 2.0")
    assert content(path) == first


def test_a_changed_helper_is_imported_again_also_with_the_same_size_and_time(write):
    helper = Path(write("my_helper.py", "factor = 1.0"))
    path = write("example_method.py", imports="import my_helper\nfactor = my_helper.factor")
    times = (1_700_000_000, 1_700_000_000)
    os.utime(helper, times)
    load_plugin(path)
    helper.write_text("factor = 2.0")
    os.utime(helper, times)
    load_plugin(path)
    import sys

    assert sys.modules[load_method("example_method").__module__].factor == 2.0


def test_a_helper_with_the_name_of_another_module_is_an_error(write, tmp_path):
    write("safetensors.py", "x = 1")
    with pytest.raises(SslbenchError, match=r"safetensors\.py is already that of another module .*rename"):
        load_plugin(write("example_method.py", imports="import safetensors"))


def test_helpers_of_two_folders_with_the_same_name_are_an_error(write):
    write("a/my_helper.py", "x = 1")
    write("b/my_helper.py", "x = 2")
    load_plugin(write("a/first_method.py", imports="import my_helper"))
    with pytest.raises(SslbenchError, match=r"my_helper\.py is already that of another module"):
        load_plugin(write("b/second_method.py", imports="def _late():\n    import my_helper\n"))


def test_a_changed_protocol_is_measured_again(write, tmp_path):
    store = Store(tmp_path / "results")
    load_plugin(write("my_protocol.py", PROTOCOL.format(answer=0)))
    first = perform(store, "random_init", budget="smoke", protocols=("constant_answer", "knn"))
    assert first.protocols["constant_answer"].plugin == protocol_content("constant_answer")
    assert first.protocols["knn"].plugin is None
    load_plugin(write("my_protocol.py", PROTOCOL.format(answer=1)))
    options = options_of(store.root)
    request = Request(methods=["random_init"], budget="smoke", protocols=("constant_answer", "knn"))
    (run,) = plan_runs(request, options).runs
    assert (run.protocols, run.recorded) == (("constant_answer",), ("knn",))
    second = perform(store, "random_init", budget="smoke", protocols=("constant_answer", "knn"))
    assert second.protocols["constant_answer"].correct != first.protocols["constant_answer"].correct
    assert plan_runs(request, options).runs[0].done


def test_an_installed_package_has_a_content_too(write, tmp_path, monkeypatch):
    write("my_package/__init__.py", "# a package")
    write("my_package/method.py", imports="from my_package import part")
    write("my_package/part.py", "x = 1")
    info = tmp_path / "my_package-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: my-package\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[sslbench.methods]\ninstalled_method = my_package.method\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    from bench.registry import methods as registry

    monkeypatch.setattr(registry, "_contents", {})
    first = content_of("installed_method")
    assert first is not None and len(first) == 12
    assert load_method("installed_method").title == "Example"
    write("my_package/part.py", "x = 2")
    monkeypatch.setattr(registry, "_contents", {})
    assert content_of("installed_method") not in (None, first)
