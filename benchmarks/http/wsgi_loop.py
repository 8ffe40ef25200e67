"""
The same comparison without a server: the two applications, called in a loop.

``python -m benchmarks.http.wsgi_loop`` tells what our part of a request costs
beside a Flask view written by hand, in microseconds: the least of many short
turns, which other work on the machine disturbs little.
"""

from __future__ import annotations

import io
import sys
import time
from typing import Any

from benchmarks.http import apps

CALLS = {
    "odd, old route": ("/pipelines/is_odd/main", b'{"pipeline_input": 4}'),
    "iris, old route": ("/pipelines/iris/main", b'{"pipeline_input": [[5.1, 3.5, 1.4, 0.2]]}'),
}
TURNS = 150
CALLS_A_TURN = 60


def environ_of(path: str, body: bytes) -> dict[str, Any]:
    """
    What a server passes for a request.
    """
    return {
        "REQUEST_METHOD": "POST",
        "PATH_INFO": path,
        "SCRIPT_NAME": "",
        "QUERY_STRING": "",
        "SERVER_NAME": "127.0.0.1",
        "SERVER_PORT": "5000",
        "HTTP_HOST": "127.0.0.1:5000",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "CONTENT_TYPE": "application/json",
        "CONTENT_LENGTH": str(len(body)),
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": "http",
        "wsgi.errors": sys.stderr,
        "wsgi.multithread": True,
        "wsgi.multiprocess": True,
        "wsgi.run_once": False,
    }


def turn(app: Any, path: str, body: bytes) -> float:
    """
    Microseconds of one request, over a short loop.
    """
    base = environ_of(path, body)
    began = time.perf_counter()
    for _ in range(CALLS_A_TURN):
        answer = app({**base, "wsgi.input": io.BytesIO(body)}, lambda *_: None)
        b"".join(answer)
        if not isinstance(answer, list):
            answer.close()
    return (time.perf_counter() - began) / CALLS_A_TURN * 1e6


def main() -> None:
    """
    Measure in turn, print the least.
    """
    raw, ours = apps.make_raw(), apps.make_ours()
    for name, (path, body) in CALLS.items():
        least = {"raw": float("inf"), "ours": float("inf")}
        for _ in range(TURNS):
            for which, app in (("raw", raw), ("ours", ours)):
                least[which] = min(least[which], turn(app, path, body))
        print(
            f"{name:<16} raw {least['raw']:6.1f} us, ours {least['ours']:6.1f} us, "
            f"ratio {least['raw'] / least['ours']:.2f}"
        )


if __name__ == "__main__":
    main()
