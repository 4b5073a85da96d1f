"""The JavaScript that draws the pictures in a browser: Vega, Vega-Lite and vega-embed, without network."""

from importlib.util import find_spec


def available() -> bool:
    """Whether the libraries that make the pictures are installed (the extra ``report``)."""
    return find_spec("altair") is not None and find_spec("vl_convert") is not None


def script() -> str:
    """Return the content of a script element that defines ``vegaEmbed``, about 0.9 MB; it takes a few seconds.

    The bundle declares thousands of short names; the function around it keeps them from the page's other scripts.
    """
    import vl_convert
    from altair.utils._importers import vl_version_for_vl_convert

    bundle: str = vl_convert.javascript_bundle(vl_version=vl_version_for_vl_convert())
    return "(() => {\n" + bundle.replace("</script", "<\\/script") + "\n})();"
