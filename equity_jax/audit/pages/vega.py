"""What turns a Vega-Lite spec into pixels: for report.md here, for report.html there.

Both come from vl-convert, so that the picture in report.md and the one in report.html
are drawn by the same version of Vega, and nothing is ever fetched.
"""

import copy
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

import vl_convert

WIDTH = 720  # pixels of a picture whose spec takes its container's width


def png(spec: Mapping[str, Any], scale: float = 1.6) -> bytes:
    """The bytes of a PNG of a Vega-Lite spec; the same spec gives the same bytes."""
    spec = copy.deepcopy(dict(spec))
    if spec.get("width") == "container":
        spec["width"] = WIDTH
    return vl_convert.vegalite_to_png(spec, vl_version="v6.4", scale=scale)


@lru_cache(maxsize=1)
def bundle() -> str:
    """Vega, Vega-Lite and vega-embed as one script for a page that opens offline."""
    text = vl_convert.javascript_bundle(vl_version="v6.4")
    # A script element ends at the first of these, whatever JavaScript thinks.
    return text.replace("</script", "<\\/script").replace("<!--", "\\x3C!--")
