"""
A program that adopts the models of ops: ``adopt APP OP...``.
"""

from __future__ import annotations

import sys

from chariots_core.app import load_app
from chariots_core.op_store.adoption import adopt
from chariots_core.op_store.states import Template

if __name__ == "__main__":
    _, spec, *names = sys.argv[1:]
    with load_app(spec) as app:
        templates = [Template.of(pipeline) for pipeline in app.pipelines.values()]
        print(dict(adopt(app.op_store, templates, names)))
