"""Everything that a plugin does wrong is one line with the plugin's name, and with file and line where its code raised."""

import re
from pathlib import Path

import pytest

from bench.errors import SslbenchError
from bench.registry.methods import method_names, origin_of
from bench.registry.plugins import load_plugin
from protocols import catalogue

PARENT = "from methods.simclr import SimCLR\nfrom methods.base import Method, Needs, Recipe\n\n\n"


def message_of(path):
    with pytest.raises(SslbenchError) as caught:
        load_plugin(path)
    text = str(caught.value)
    assert "\n" not in text
    return text


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("import sys\nsys.exit(0)", r"broken\.py, line 2: SystemExit: 0 "),
        ("import sys\nsys.exit()", r"broken\.py, line 2: SystemExit: None"),
        ("\nraise ValueError", r"broken\.py, line 2: ValueError without a message"),
        ("raise ValueError('first\\nsecond')", r"broken\.py, line 1: ValueError: first$"),
        ("class Odd(BaseException):\n    pass\nraise Odd('gone')", r"broken\.py, line 3: Odd: gone"),
        ("raise GeneratorExit", r"broken\.py, line 1: GeneratorExit"),
        ("class Odd(Exception):\n    def __str__(self):\n        1 / 0\nraise Odd", r"broken\.py, line 4: Odd"),
        ("x = 1\ndef f(:\n", r"broken\.py, line 2: SyntaxError"),
        ("def f():\n    f()\nf()", r"broken\.py, line 2: RecursionError"),
        ("import no_such_module_anywhere", r"broken\.py, line 1: ModuleNotFoundError"),
        ("import my_broken_helper", r"my_broken_helper\.py, line 3: ZeroDivisionError"),
        ("def __dir__():\n    raise OSError('odd')\n", r"broken\.py, line 2: OSError: odd"),
        ("PROTOCOLS = 5", "PROTOCOLS is a int; it must be a list of Entry objects"),
        ("PROTOCOLS = ['knn']", "PROTOCOLS is a list of str; it must be a list of Entry objects"),
        ("x = 1", "defines neither"),
        ("INPUT = 3\ndef encoder():\n    pass", "INPUT must be a dict"),
        ("def one():\n    pass\ndef two():\n    pass", "2 public functions"),
    ],
)
def test_a_plugin_that_cannot_be_loaded_is_one_line(write, text, message):
    write("my_broken_helper.py", "\n\n1 / 0")
    assert re.search(message, message_of(write("broken.py", text)))
    assert "broken" not in method_names()


@pytest.mark.parametrize("content", [b"\x00", b"\xff\xfe", b"x = '\xff'"])
def test_a_file_that_is_no_text_is_one_line(write, content):
    path = write("broken.py", "x = 1")
    Path(path).write_bytes(content)
    assert re.match(r"plugin \S+broken\.py: ", message_of(path))


@pytest.mark.parametrize("name", ["timm.py", "sklearn.py", "torch.py", "json.py", "methods.py", "bench.py"])
def test_a_file_named_like_another_module_is_refused(write, name):
    assert re.search(rf"{name} is already that of another module .*; rename {name}", message_of(write(name, "x = 1")))


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("nowhere.py", "no such file"),
        ("no_such_module_anywhere", "no module of this name"),
        ("some folder/file.txt", "neither a Python file"),
        ("\0.py", "no such file"),
        ("x" * 5000 + ".py", "no such file"),
    ],
)
def test_a_source_that_does_not_exist_is_one_line(source, message):
    assert message in message_of(source)


def test_ctrl_c_during_an_import_is_not_an_error_of_the_plugin(write):
    with pytest.raises(KeyboardInterrupt):
        load_plugin(write("broken.py", "raise KeyboardInterrupt"))


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("title = None", r"Odd\.title: is missing; it must be a line of text"),
        ("title = 3", r"Odd\.title: is 3"),
        ("family = 'contrastiv'", r"Odd\.family: is 'contrastiv'; did you mean 'contrastive'\?"),
        ("family = 'elsewhere'", r"Odd\.family: is 'elsewhere'; it must be one of"),
        ("family = ['contrastive']", r"Odd\.family: is \['contrastive'\]"),
        ("recipe = None", r"Odd\.recipe: is missing; it must be a Recipe"),
        ("recipe = {'rate': 1}", r"Odd\.recipe: is a dict; it must be a Recipe"),
        ("recipe = Recipe(version=1, optimizer='adamW')", r"Odd\.recipe: optimizer is 'adamW'; it must be one of sgd, lars"),
        ("recipe = Recipe(version=1, schedule='linear')", r"Odd\.recipe: schedule is 'linear'"),
        ("recipe = Recipe(version='1')", r"Odd\.recipe: version is '1'; it must be int"),
        ("recipe = Recipe(version=0)", r"Odd\.recipe: version is 0"),
        ("recipe = Recipe(version=1, rate='0.1')", r"Odd\.recipe: rate is '0\.1'; it must be float"),
        ("recipe = Recipe(version=1, rate=float('nan'))", r"Odd\.recipe: rate is nan"),
        ("recipe = Recipe(version=1, betas=(0.9,))", r"Odd\.recipe: betas is \(0\.9,\)"),
        ("transformer_recipe = Recipe(version=9)", r"Odd\.transformer_recipe: has version 9"),
        ("needs = 'any'", r"Odd\.needs: is a str; it must be a Needs"),
        ("needs = Needs(backbone='cnn')", r"Odd\.needs: backbone is 'cnn'; it must be one of any, convolutional"),
        ("needs = Needs(labels='yes')", r"Odd\.needs: labels is 'yes'"),
        ("needs = Needs(backbone='none')", r"Odd\.needs: .*add training=False"),
        ("Settings = None", r"Odd\.Settings: is a NoneType; it must be a frozen dataclass"),
        ("class Settings:\n        rate = 1", r"Odd\.Settings: is the class Settings; it must be a frozen dataclass"),
        ("Settings = dataclass(type('S', (), {'__annotations__': {'dim': int}}))", r"Settings: dim has no default"),
        ("Settings = dataclass(type('S', (), {'__annotations__': {'dim': 'no'}, 'dim': 1}))", r"annotations cannot be read"),
        ("Settings = dataclass(type('S', (), {'__annotations__': {'share': float}, 'share': 1.0}))", "share is the name of an option"),
        ("views = Method.views", r"Odd\.views: is missing; a method that is trained implements views\(settings, traits\)"),
        ("forward = Method.forward", r"Odd\.forward: is missing"),
        ("def views(self, settings, traits):\n        pass", r"Odd\.views: cannot be called as a classmethod views\(settings, traits\)"),
        ("def after_step(self):\n        pass", r"Odd\.after_step: cannot be called as after_step\(self, progress\)"),
        ("def forward(self, batch):\n        pass", r"Odd\.forward: cannot be called as forward\(self, batch, progress\)"),
        ("def __init__(self):\n        pass", r"Odd\.__init__: cannot be called as"),
        ("parameter_groups = 3", r"Odd\.parameter_groups: is no function"),
    ],
)  # fmt: skip
def test_what_a_class_declares_is_checked_when_it_is_loaded(write, body, message):
    text = "from dataclasses import dataclass\n" + PARENT + f"class Odd(SimCLR):\n    title = 'Odd'\n    {body}\n"
    found = message_of(write("broken_method.py", text))
    assert re.search("method broken_method: .*" + message, found), found
    assert "broken_method" not in method_names()


def test_a_metaclass_that_raises_is_one_line(write):
    text = (
        PARENT
        + "class Odd(SimCLR):\n    def __init_subclass__(cls):\n        raise TypeError\nclass Child(Odd):\n    pass\n"
    )
    assert "broken.py, line 7: TypeError without a message" in message_of(write("broken.py", text))


def test_a_plugin_with_the_name_of_a_method_is_refused(write):
    text = PARENT + "class Mine(SimCLR):\n    title = 'Mine'\n"
    assert "a method named 'byol' already exists" in message_of(write("byol.py", text))


ENTRY = """
from protocols.base import EvaluationProtocol
from protocols.entry import Entry


class Mine(EvaluationProtocol):
    def __init__(self, k=1):
        assert k > 0, "k must be positive"


PROTOCOLS = [{entry}]
"""


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ("Entry('knn', 1, 'x', 'x', __name__)", "protocol 'knn': the id is already taken"),
        ("Entry('lowshot-7', 1, 'x', 'x', __name__)", "protocol 'lowshot-7': the id is already taken"),
        ("Entry('a@b', 1, 'x', 'x', __name__)", "its id must be letters"),
        ("Entry(5, 1, 'x', 'x', __name__)", "its id must be letters"),
        ("Entry('mine', '1', 'x', 'x', __name__)", "its version is '1'; it must be an integer"),
        ("Entry('mine', 1, None, 'x', __name__)", "its title is None"),
        ("Entry('mine', 1, 'x', 'x', 'no.such.module')", "install it or correct the entry's module"),
        ("Entry('mine', 1, 'x', 'x', 'methods.base')", "defines 0 protocols instead of one"),
        ("Entry('mine', 1, 'x', 'x', __name__, {'j': 1})", "TypeError"),
        ("Entry('mine', 1, 'x', 'x', __name__, {'k': 0})", "broken_protocol.py, line 8: AssertionError: k must be"),
        ("Entry('mine', 1, 'x', 'x', __name__, 3)", "its constants must be a dict"),
        ("Entry('mine', 1, 'x', 'x', __name__, higher_is_better='yes')", "its higher_is_better is 'yes'"),
        ("Entry('mine', 1, 'x', 'x', __name__, labels='1')", "labels and draws both"),
    ],
)
def test_a_wrong_protocol_entry_is_one_line_and_nothing_stays_registered(write, entry, message):
    before = dict(catalogue.ENTRIES)
    assert message in message_of(write("broken_protocol.py", ENTRY.format(entry=entry)))
    assert before == catalogue.ENTRIES


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("raise SystemExit(0)", r"line 5: SystemExit: 0"),
        ("raise ValueError", r"line 5: ValueError without a message"),
        ("raise BaseException('odd')", r"line 5: BaseException: odd"),
        ("return None", r"must return an nn\.Module"),
    ],
)
def test_whatever_an_encoder_function_does_is_one_line(write, body, message):
    load_plugin(write("broken_encoder.py", f"from torch import nn\n\n\ndef encoder():\n    {body}\n"))
    origin = origin_of("broken_encoder", None)
    assert origin is not None
    for call in (origin.digest, lambda: origin.build(_load_dataset_traits(), None)):
        with pytest.raises(SslbenchError, match=message):
            call()


def _load_dataset_traits():
    from methods.traits import Traits

    return Traits(1, 8, 10, (0.3,), (0.4,), False, 100, 100)


def test_a_file_of_the_working_folder_never_hides_an_installed_package(sslbench, tmp_path):
    for name in ("torch", "timm", "sklearn", "lightly", "rich"):
        (tmp_path / f"{name}.py").write_text("raise RuntimeError('the wrong file')")
    done = sslbench("run", "random_init", "--budget", "smoke", "--protocol", "knn")
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    done = sslbench("run", "random_init", "--plugin", "timm.py")
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert "rename timm.py" in done.stderr
