"""
Backends of all kinds, good and bad, that are installed beside each other.
"""

from __future__ import annotations

from tests.plugins.distributions import Distribution, backend

#: A backend in a module of its own: a queue made of files, with its options.
GOOD = """
    from pathlib import Path

    import attrs

    from chariots_core.workers import (
        BackendInfo, BaseWorkerPool, RunOutcome, hookimpl, read_options
    )


    @attrs.frozen(kw_only=True)
    class Options:
        folder: str = attrs.field(
            validator=attrs.validators.instance_of(str), metadata={"expects": "a path"}
        )
        password: str = attrs.field(
            default="", repr=False, validator=attrs.validators.max_len(20),
            metadata={"expects": "a text of 20 characters at most"},
        )


    class FilePool(BaseWorkerPool):
        def __init__(self, options):
            self.folder = Path(options.folder)

        def submit(self, request):
            (self.folder / request.message_id).touch()

        def run_worker(self, session):
            while session.keep_running():
                for message in sorted(self.folder.iterdir()):
                    job_id = message.name.rpartition("-")[0]
                    if session.run(job_id) is RunOutcome.HANDED_BACK:
                        break
                    message.unlink(missing_ok=True)
                session.wait(0.05)


    @hookimpl
    def chariots_backend_info():
        return BackendInfo(
            contract_version=1, capabilities=FilePool.capabilities, summary="files in a folder"
        )


    @hookimpl
    def chariots_create_worker_pool(name, options):
        return FilePool(read_options(Options, options, backend=name))
"""

_HEAD = """
    from chariots_core.workers import BackendInfo, BaseWorkerPool, Capabilities, hookimpl


    class Pool(BaseWorkerPool):
        def submit(self, request):
            pass
"""

_INFO = """
    @hookimpl
    def chariots_backend_info():
        return BackendInfo(contract_version=1, capabilities=Capabilities())
"""

_CREATE = """
    @hookimpl
    def chariots_create_worker_pool(name, options):
        return Pool()
"""

#: A module that does not even say what is in it.
SHY = """
    def __dir__():
        raise RuntimeError("do not look at me")
"""

#: Those that show no fault before a pool is asked for.
BAD_AT_WORK = frozenset({"no_pool", "raises", "create_exits"})

#: The bad ones: name, source, the error it gives, and what its message says.
BAD: list[tuple[str, str, str, list[str]]] = [
    (
        "no_such_import",
        "import a_library_that_is_not_there",
        "BackendBroken",
        ["cannot be imported", "ModuleNotFoundError", "a_library_that_is_not_there", "repair"],
    ),
    ("not_python", "def :", "BackendBroken", ["cannot be imported", "SyntaxError"]),
    ("exits", "raise SystemExit(3)", "BackendBroken", ["cannot be imported", "SystemExit"]),
    (
        "newer",
        _HEAD + _INFO.replace("contract_version=1", "contract_version=2") + _CREATE,
        "BackendIncompatible",
        ["contract version 2", "has version 1", "upgrade 'chariots-core'"],
    ),
    (
        "older",
        _HEAD + _INFO.replace("contract_version=1", "contract_version=0") + _CREATE,
        "BackendIncompatible",
        ["contract version 0", "upgrade 'zoo-older'"],
    ),
    (
        "misspelt",
        _HEAD + _INFO + _CREATE.replace("create_worker_pool", "create_workerpool"),
        "BackendBroken",
        ["'chariots_create_workerpool' is no hook", "did you mean 'chariots_create_worker_pool'?"],
    ),
    (
        "unmarked",
        _HEAD + _INFO + _CREATE.replace("@hookimpl", ""),
        "BackendBroken",
        ["'chariots_create_worker_pool' is not marked", "@hookimpl"],
    ),
    (
        "wrong_argument",
        _HEAD + _INFO + _CREATE.replace("name, options", "name, settings"),
        "BackendBroken",
        ["chariots_create_worker_pool", "no argument 'settings'", "(name, options)"],
    ),
    (
        "half",
        _HEAD + _INFO,
        "BackendBroken",
        ["hook 'chariots_create_worker_pool' is missing"],
    ),
    (
        "nothing",
        "VALUE = 1",
        "BackendBroken",
        ["hook 'chariots_backend_info' is missing", "'chariots_create_worker_pool' is missing"],
    ),
    (
        "no_pool",
        _HEAD + _INFO + _CREATE.replace("Pool()", "object()"),
        "BackendBroken",
        ["made an object of type 'object' where a BaseWorkerPool is due"],
    ),
    (
        "no_info",
        _HEAD
        + _INFO.replace("BackendInfo(contract_version=1, capabilities=Capabilities())", "{}")
        + _CREATE,
        "BackendBroken",
        ["described itself by an object of type 'dict' where a BackendInfo is due"],
    ),
    (
        "version_as_text",
        _HEAD + _INFO.replace("contract_version=1", 'contract_version="1"') + _CREATE,
        "BackendBroken",
        ["failed to describe itself", "contract_version", "a whole number", "'str'", "repair"],
    ),
    (
        "no_capabilities",
        _HEAD + _INFO.replace("Capabilities())", "None)") + _CREATE,
        "BackendBroken",
        ["failed to describe itself", "capabilities", "must be Capabilities", "'NoneType'"],
    ),
    (
        "info_exits",
        _HEAD + _INFO.replace("return BackendInfo", "raise SystemExit(3)  #") + _CREATE,
        "BackendBroken",
        ["failed to describe itself", "SystemExit: 3"],
    ),
    (
        "info_argument",
        _HEAD + _INFO.replace("backend_info()", "backend_info(name)") + _CREATE,
        "BackendBroken",
        ["failed to describe itself", "TypeError", "'name'"],
    ),
    (
        "create_exits",
        _HEAD + _INFO + _CREATE.replace("return Pool()", "raise SystemExit(3)"),
        "BackendBroken",
        ["failed to make its worker pool", "SystemExit"],
    ),
    (
        "raises",
        _HEAD + _INFO + _CREATE.replace("return Pool()", "raise KeyError('password')"),
        "BackendBroken",
        ["failed to make its worker pool", "KeyError"],
    ),
    (
        "no_generator",
        _HEAD
        + _INFO
        + _CREATE
        + """
    @hookimpl(wrapper=True)
    def chariots_execute_pipeline(pool, request):
        return True
""",
        "BackendBroken",
        ["'chariots_execute_pipeline' is marked as a wrapper", "yield"],
    ),
]


def distributions() -> list[Distribution]:
    """
    All of them, and two that offer one name.
    """
    good = backend("good", "zoo_good", GOOD)
    bad = [backend(name, f"zoo_{name}", source) for name, source, _, _ in BAD]
    lost = Distribution(
        name="zoo-lost",
        modules={"zoo_lost.py": "", "zoo_object.py": ""},
        entry_points={
            "chariots.worker_backends": {"lost": "zoo_nowhere", "attribute": "zoo_object:plugin"}
        },
    )
    shy = backend("shy", "zoo_shy", SHY)
    twins = [
        backend("twin", f"zoo_twin_{n}", _HEAD + _INFO + _CREATE, version=f"{n}.0") for n in (1, 2)
    ]
    return [good, *bad, shy, lost, *twins]
