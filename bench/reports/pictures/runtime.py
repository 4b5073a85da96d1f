"""What draws the plots in a browser without a network: Vega as one text, and the plots compiled for it.

Vega-Lite is compiled here, not in the browser: the page then needs two thirds of the script.
"""

from functools import cache
from importlib.util import find_spec
from typing import Any

NEEDED = ("altair", "vl_convert")


def available() -> bool:
    """Return whether the libraries of the extra ``report`` are installed."""
    return all(find_spec(name) is not None for name in NEEDED)


@cache
def script() -> str:
    """Return JavaScript that defines ``vega`` with ``View`` and ``parse``, and no other global name; 0.6 MB."""
    import vl_convert

    # The names that the package gives to a snippet are those of vega-embed and Vega-Lite; Vega itself is a module of its bundle.
    vega = f'import * as vega_module from "/npm/vega@{vl_convert.get_vega_version()}/+esm";'
    bundle = vl_convert.javascript_bundle(
        f"{vega} window.vega = {{ View: vega_module.View, parse: vega_module.parse }};"
    )
    return f"(() => {{{bundle}}})();"


def compiled(chart: dict[str, Any]) -> dict[str, Any]:
    """Return a Vega-Lite specification as a Vega specification."""
    import vl_convert

    vega: dict[str, Any] = vl_convert.vegalite_to_vega(chart)
    del vega["$schema"]
    return vega
