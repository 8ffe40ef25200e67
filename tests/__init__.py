"""
The tests of chariots-core: unit, integration, acceptance.
"""
