"""No setting of a method has the name of an option, whose value would replace it without a word."""

import dataclasses

from bench.planning.settings import OPTION_SETTINGS
from bench.registry.class_check import FROM_OPTIONS
from bench.registry.methods import load_method, method_names


def test_no_setting_has_the_name_of_an_option():
    assert set(FROM_OPTIONS) == OPTION_SETTINGS
    for name in method_names():
        assert not OPTION_SETTINGS & {field.name for field in dataclasses.fields(load_method(name).Settings)}, name
