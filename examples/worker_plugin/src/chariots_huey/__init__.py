"""
The worker backend ``huey``: jobs of Chariots over Huey's queue in a SQLite file.
"""
