"""
The app of `tests.apps`, for processes that import it by name.
"""

from __future__ import annotations

import os

from tests.apps import make_server

app = make_server(os.environ["SERVED_APP_FOLDER"], worker_pool="local")
