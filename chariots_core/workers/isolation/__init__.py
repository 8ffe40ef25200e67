"""
Where jobs run: supervised child processes, or threads.

A child leads a session of its own, so no terminal and no Ctrl-C reaches it. It
dies with the thread of the runner that made it, whatever it is doing. It reads
nothing; what it prints is the job's output. SIGTERM and SIGINT do not end it:
stopping is the runner's business.

What jobs share:

* ``fresh``: nothing. A child is made for each job; when the job is over, the
  child and all that it started in its process group are killed. Made by fork,
  it starts as a copy of the worker, which has the pipelines loaded, with
  random numbers of its own.
* ``warm``: the process, which loads the pipelines before its first job; the
  worker itself loads nothing, and so starts no threads of ML libraries that a
  fork would break. Nothing is restored between two jobs: environment
  variables, the working directory, globals, the state of random generators,
  threads and programs that a job left running. All of it ends when the child
  is replaced: after ``max_jobs``, over ``recycle_rss_mb``, after a time-out, a
  cancel, or a crash. What such left-overs print counts as the next job's.
* ``thread``: the worker's own process, so a crash of a job is one of the
  worker; a job can neither be ended nor its output be told apart, and an op
  that holds the GIL for longer than the lease is taken for lost.

A program that a job moved to another process group (a daemon) is out of reach.
When the worker itself is killed by SIGKILL, its child dies, but programs that
the child started do not.
"""

from chariots_core.workers.isolation.executors import (
    ChildExecutor,
    Ending,
    Execution,
    Executor,
)
from chariots_core.workers.isolation.failures import Failure
from chariots_core.workers.isolation.starting import Host, StartAborted
from chariots_core.workers.isolation.threads import ThreadExecutor, WatchedExecutor

__all__ = [
    "Ending",
    "Execution",
    "Executor",
    "Failure",
    "Host",
    "StartAborted",
    "make_executor",
]


def make_executor(host: Host) -> Executor:
    """
    The executor for the isolation that the settings of *host* ask for.
    """
    if host.settings.isolation == "thread":
        return ThreadExecutor(host) if host.watch is None else WatchedExecutor(host, host.watch)
    return ChildExecutor(host)
