"""What htmx asks, and what can be told to it by headers (https://htmx.org/reference/#response_headers)."""

import json
from collections.abc import Mapping
from typing import Any, TypeVar
from urllib.parse import quote

from starlette.requests import Request
from starlette.responses import Response

R = TypeVar("R", bound=Response)
SAFE = "/%?#&=:;@!$'()*+,~[]"  # of an address: the rest is written in percents, since headers hold ASCII only
VARY = "HX-Request, HX-Boosted, HX-History-Restore-Request"


def is_htmx(request: Request) -> bool:
    """True when htmx asks for anything but a whole page: not for a boosted link, nor when it restores history."""
    headers = request.headers
    return (
        headers.get("hx-request") == "true"
        and headers.get("hx-boosted") != "true"
        and headers.get("hx-history-restore-request") != "true"
    )


def tell_htmx(
    response: R,
    *,
    push_url: str = "",
    replace_url: str = "",
    retarget: str = "",
    reswap: str = "",
    reselect: str = "",
    trigger: str | Mapping[str, Any] = "",
    refresh: bool = False,
) -> R:
    """The same response with what htmx shall do besides; without htmx nothing of it is read.

    Args:
        response: any answer.
        push_url: a new entry in the browser's history.
        replace_url: the address shown in place of the present one.
        retarget: a CSS selector of the element to swap in place of the asker's target.
        reswap: how to swap, such as `outerHTML` or `none`.
        reselect: a CSS selector of the part of the answer to take.
        trigger: an event's name, or {name: detail}, fired on the asking element.
        refresh: load the whole page anew.

    Raises ValueError for text that no header can hold.
    """
    told = {
        "HX-Push-Url": quote(push_url, safe=SAFE),
        "HX-Replace-Url": quote(replace_url, safe=SAFE),
        "HX-Retarget": retarget,
        "HX-Reswap": reswap,
        "HX-Reselect": reselect,
        "HX-Trigger": trigger if isinstance(trigger, str) else json.dumps(trigger),
        "HX-Refresh": "true" if refresh else "",
    }
    if not all(text.isascii() and text.isprintable() for text in told.values()):
        raise ValueError("a header holds ASCII only, and no line breaks")
    response.headers.update({name: value for name, value in told.items() if value})
    return response
