"""
Every error that Chariots raises, in one tree.

.. code-block:: text

    ChariotsError
    ├── ConfigurationError          what an app or operator wrote cannot work
    │   ├── ConfigInvalid           a configuration that cannot be used (a ValueError)
    │   ├── AppLoadError            an app named by text cannot be imported
    │   ├── DuplicatePipelineError  two pipelines of one app share a name
    │   └── BackendError            a worker backend cannot be used
    │       ├── BackendNotConfigured    a worker is asked for, no backend is set
    │       ├── BackendNotInstalled     no installed distribution has that name
    │       ├── BackendAmbiguous        two distributions have that name
    │       ├── BackendBroken           the plugin cannot be imported or used
    │       ├── BackendIncompatible     made for another contract version
    │       └── BackendMisconfigured    unknown or wrong options
    ├── PipelineError
    │   ├── GraphError              a pipeline that cannot be built (a ValueError)
    │   ├── NodeOutputError         an op returned the wrong number of outputs
    │   ├── PipelineNotFound        no such pipeline (a LookupError, a ValueError)
    │   └── ExecutionError          a run failed (a ValueError)
    ├── NotJSONError                a value that JSON cannot carry (a ValueError)
    ├── PayloadTooLarge             an input or a result over the limit
    ├── JobError
    │   ├── JobNotFound             no such job (a LookupError)
    │   ├── InvalidTransition       a status change that the table forbids
    │   ├── StaleAttempt            the attempt is no longer the job's own
    │   ├── IdempotencyMismatch     one key, two different requests
    │   ├── IdempotencyKeyInvalid   a key that no header can carry (a ValueError)
    │   ├── WaitTimeout             a job did not finish in time (a TimeoutError)
    │   └── UnsupportedCapability   the backend does not do that
    ├── BackendUnavailable          broker or store did not answer
    │   ├── StoreUnavailable        a store cannot be opened or reached
    │   ├── BrokerUnavailable       a job was certainly not handed over
    │   └── SubmissionUnknown       a job may or may not have been handed over
    ├── VersionError                versions without a validated link
    │   ├── NeverTrained            an op that no run has trained with this code
    │   └── ModelOutdated           a state made from another declaration
    ├── OpStoreError
    │   ├── OpNameConflict          one name, two classes of ops
    │   ├── TrainingInProgress      another process trains the same op
    │   ├── OpVersionNotFound       a version that the store does not know
    │   ├── ArtifactCorrupt         bytes that do not match their digest
    │   └── UntrustedArtifact       a format or type that is not trusted here
    └── ClientError                 a server could not be reached or understood

``code`` is the stable name of an error on the wire: a client raises the same
class that the server met. Facts are attributes; messages name what failed,
the value, and the remedy.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import ClassVar


class ChariotsError(Exception):
    """
    The root of every error that Chariots raises.
    """

    code: ClassVar[str] = "internal-error"

    @property
    def message(self) -> str:
        return str(self.args[0]) if self.args else type(self).__name__


# --- configuration ---------------------------------------------------------


class ConfigurationError(ChariotsError):
    """
    What an app's author or operator wrote cannot work.
    """

    code = "configuration-error"


class ConfigInvalid(ConfigurationError, ValueError):
    """
    A configuration, from a file or made in code, that cannot be read or used.

    Attributes:
        problems: one sentence for each bad key, which begins with the key's
            path; no value of it, but for names of runners and savers, since a
            value may be a secret.
    """

    code = "config-invalid"

    def __init__(self, message: str, *, problems: Sequence[str] = ()) -> None:
        super().__init__(message)
        self.problems = tuple(problems)


class AppLoadError(ConfigurationError):
    """
    An app cannot be imported by its name, or a process that was to load it did not.
    """

    code = "app-load-error"


class DuplicatePipelineError(ConfigurationError):
    """
    Two pipelines of one app have the same name.
    """

    code = "duplicate-pipeline"


class BackendError(ConfigurationError):
    """
    A worker backend cannot be used.

    Attributes:
        backend: the backend's name, as it was asked for.
    """

    code = "backend-error"

    def __init__(self, message: str, *, backend: str | None = None) -> None:
        super().__init__(message)
        self.backend = backend


class BackendNotConfigured(BackendError):
    """
    A worker was asked for, and the app has no backend.
    """

    code = "backend-not-configured"


class BackendNotInstalled(BackendError):
    """
    No installed distribution offers a backend of that name.
    """

    code = "backend-not-installed"


class BackendAmbiguous(BackendError):
    """
    Two distributions offer a backend of one name.
    """

    code = "backend-ambiguous"


class BackendBroken(BackendError):
    """
    A backend's plugin cannot be imported, or does not fulfil its contract.
    """

    code = "backend-broken"


class BackendIncompatible(BackendError):
    """
    A backend's plugin was written for another version of the contract.

    Attributes:
        contract_version: that version.
    """

    code = "backend-incompatible"

    def __init__(
        self, message: str, *, backend: str | None = None, contract_version: int | None = None
    ) -> None:
        super().__init__(message, backend=backend)
        self.contract_version = contract_version


class BackendMisconfigured(BackendError):
    """
    A backend was given options that it does not know or cannot use.

    Attributes:
        problems: one sentence for each bad key; no value of it, since a value
            may be a secret.
    """

    code = "backend-misconfigured"

    def __init__(self, message: str, *, backend: str | None = None, problems: Sequence[str] = ()):
        super().__init__(message, backend=backend)
        self.problems = tuple(problems)


# --- pipelines -------------------------------------------------------------


class PipelineError(ChariotsError):
    """
    A pipeline, or a run of one, went wrong.
    """

    code = "pipeline-error"


class GraphError(PipelineError, ValueError):
    """
    A pipeline that cannot be built.

    Attributes:
        node: the name of the node at fault, if one is.
    """

    code = "graph-error"

    def __init__(self, message: str, *, node: str | None = None) -> None:
        super().__init__(message)
        self.node = node


class NodeOutputError(PipelineError):
    """
    An op did not return as many outputs as its node names.

    Attributes:
        node: the node's name.
    """

    code = "node-output-error"

    def __init__(self, message: str, *, node: str) -> None:
        super().__init__(message)
        self.node = node


class PipelineNotFound(PipelineError, LookupError, ValueError):
    """
    The app serves no pipeline of that name.
    """

    code = "pipeline-not-found"


class ExecutionError(PipelineError, ValueError):
    """
    A run failed.

    Attributes:
        exception_type: name of the exception's class, e.g. ``"KeyError"``.
        node: the node that raised, if one did.
        traceback: text, where it was asked for and allowed.
        job_id: the job, where the run was one.
    """

    code = "execution-failed"

    def __init__(
        self,
        message: str,
        *,
        exception_type: str | None = None,
        node: str | None = None,
        traceback: str | None = None,
        job_id: str | None = None,
    ) -> None:
        super().__init__(message)
        self.exception_type = exception_type
        self.node = node
        self.traceback = traceback
        self.job_id = job_id


# --- values ----------------------------------------------------------------


class NotJSONError(ChariotsError, ValueError):
    """
    A value that strict JSON cannot carry.

    Attributes:
        path: where it is, as ``$.rows[3].weight``.
        reason: what is wrong with it.
    """

    code = "not-json"

    def __init__(self, message: str, *, path: str = "$", reason: str = "") -> None:
        super().__init__(message)
        self.path = path
        self.reason = reason


class PayloadTooLarge(ChariotsError):
    """
    An input or a result is over the configured size.
    """

    code = "payload-too-large"


# --- jobs ------------------------------------------------------------------


class JobError(ChariotsError):
    """
    A job, or a request about one, went wrong.

    Attributes:
        job_id: the job's id, if it is known.
    """

    code = "job-error"

    def __init__(self, message: str, *, job_id: str | None = None) -> None:
        super().__init__(message)
        self.job_id = job_id


class JobNotFound(JobError, LookupError):
    """
    No job has that id.
    """

    code = "job-not-found"


class InvalidTransition(JobError):
    """
    A change of status that the table of transitions forbids.
    """

    code = "invalid-transition"


class StaleAttempt(JobError):
    """
    The attempt that wants to write is no longer the job's own.
    """

    code = "stale-attempt"


class IdempotencyMismatch(JobError):
    """
    An idempotency key came back with a different request.
    """

    code = "idempotency-mismatch"


class IdempotencyKeyInvalid(JobError, ValueError):
    """
    An idempotency key that a header cannot carry.
    """

    code = "idempotency-key-invalid"


class WaitTimeout(JobError, TimeoutError):
    """
    A job did not finish within the time that the caller gave it.
    """

    code = "wait-timeout"


class UnsupportedCapability(JobError):
    """
    The backend does not do what was asked; nothing was submitted or changed.

    Attributes:
        backend: the backend's name.
        capability: the name of the missing capability.
    """

    code = "capability-unsupported"

    def __init__(
        self, message: str, *, backend: str, capability: str, job_id: str | None = None
    ) -> None:
        super().__init__(message, job_id=job_id)
        self.backend = backend
        self.capability = capability


# --- what is out of reach --------------------------------------------------


class BackendUnavailable(ChariotsError):
    """
    A broker or a store did not answer; trying again later may help.

    Attributes:
        job_id: the job that the call was about, if there was one.
        retry_after: seconds after which trying again makes sense.
    """

    code = "backend-unavailable"

    def __init__(
        self, message: str, *, job_id: str | None = None, retry_after: float = 1.0
    ) -> None:
        super().__init__(message)
        self.job_id = job_id
        self.retry_after = retry_after


class StoreUnavailable(BackendUnavailable):
    """
    A job store or op store cannot be opened or reached.
    """

    code = "store-unavailable"


class BrokerUnavailable(BackendUnavailable):
    """
    The queue refused a job: it was certainly not handed over.
    """

    code = "broker-unavailable"


class SubmissionUnknown(BackendUnavailable):
    """
    The queue did not answer in time: the job may or may not have been handed over.

    The record stays ``queued`` and is sent again; the claim drops a duplicate.
    """

    code = "submission-unknown"


# --- versions and the op store ---------------------------------------------


class VersionError(ChariotsError):
    """
    Versions that were never validated together.

    Attributes:
        blockers: one sentence for each link that is not validated.
        commands: commands that get the pipeline served, in order. If a person must
            decide something, the message names it, and the list ends before that.
    """

    code = "version-conflict"

    def __init__(
        self, message: str, *, blockers: Iterable[str] = (), commands: Iterable[str] = ()
    ) -> None:
        super().__init__(message)
        self.blockers = tuple(blockers)
        self.commands = tuple(commands)


class NeverTrained(VersionError):
    """
    A pipeline has an op that no run has trained with its present code.
    """

    code = "never-trained"


class ModelOutdated(VersionError):
    """
    A saved state was made from another declaration than the one in the code.
    """

    code = "model-outdated"


class OpStoreError(ChariotsError):
    """
    The op store cannot do what was asked.
    """

    code = "op-store-error"


class OpNameConflict(OpStoreError):
    """
    The store keeps the state of another class under the name of an op.
    """

    code = "op-name-conflict"


class TrainingInProgress(OpStoreError):
    """
    Another process trains the same op.
    """

    code = "training-in-progress"


class OpVersionNotFound(OpStoreError, LookupError):
    """
    The op store knows no such version.
    """

    code = "op-version-not-found"


class ArtifactCorrupt(OpStoreError):
    """
    Stored bytes that do not match their digest.
    """

    code = "artifact-corrupt"


class UntrustedArtifact(OpStoreError):
    """
    A format, or a type inside an artifact, that this process does not trust.
    """

    code = "untrusted-artifact"


# --- clients ---------------------------------------------------------------


class ClientError(ChariotsError):
    """
    A server could not be reached, or its answer not understood.
    """

    code = "client-error"
