"""The script that draws the plots in a browser: Vega, Vega-Lite and vega-embed as one text, which needs no network."""

from functools import cache
from importlib.util import find_spec

NEEDED = ("altair", "vl_convert")


def available() -> bool:
    """Return whether the libraries of the extra ``report`` are installed."""
    return all(find_spec(name) is not None for name in NEEDED)


@cache
def script() -> str:
    """Return JavaScript that defines ``vegaEmbed`` and no other global name than ``vega`` and ``vegaLite``; 0.9 MB."""
    import vl_convert

    bundle = vl_convert.javascript_bundle()  # type: ignore[call-arg]  # the snippet is optional
    return f"(() => {{{bundle}}})();"
