"""
Makes ``python -m chariots_core.cli`` the command ``chariots``.
"""

from chariots_core.cli import main

if __name__ == "__main__":
    main(prog_name="chariots")
