"""
The app: the one place where pipelines, op store and workers meet.
"""

from chariots_core.app.application import App, apps_of_this_process
from chariots_core.app.execution import RunResult
from chariots_core.app.loading import app_of, load_app, load_object
from chariots_core.app.settings import AppSettings
from chariots_core.app.submission import Submission

__all__ = [
    "App",
    "AppSettings",
    "RunResult",
    "Submission",
    "app_of",
    "apps_of_this_process",
    "load_app",
    "load_object",
]
