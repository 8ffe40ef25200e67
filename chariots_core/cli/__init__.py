"""
The command ``chariots``.

Its sub-commands are imported when they are called: ``chariots --help`` costs
little, and so does completion.

.. code-block:: text

    exit code   meaning
    0           done
    1           what was asked for went wrong: a run or a job failed
    2           what was written is wrong: an option, an input, an app, a name
    3           a server or a store is out of reach
"""

from chariots_core.cli.main import main

__all__ = ["main"]
