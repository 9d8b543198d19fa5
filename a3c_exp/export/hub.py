"""The Hugging Face hub: exported weights go there in one commit that is checked afterwards, and come back as a folder."""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from functools import partial
from importlib import import_module
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from a3c_exp import __version__
from a3c_exp.export.model_card import CARD, REPLAY
from a3c_exp.export.privacy import has_private_arguments, without_private_values
from a3c_exp.export.weights import ExportedWeights, WeightsConfig, card_of_folder, export_weights
from a3c_exp.system.cli import print_notice
from a3c_exp.system.errors import ConfigError, HubError, first_line
from a3c_exp.system.extras import import_extra
from a3c_exp.training import pretrained

_WEIGHTS = (pretrained.CONFIG_FILE, pretrained.WEIGHTS_FILE, pretrained.PROVENANCE_FILE)
_CONNECT_SECONDS, _ANSWER_SECONDS = 10.0, 60.0


@dataclass(frozen=True)
class HubConfig:
    """Where on the hub weights go, and how."""

    repo_id: str  # user/name, or organization/name
    private: bool | None = None  # of a new repository; None: as the account has it
    replace: bool = False  # whether files that are there get new versions; the earlier ones stay in the history
    message: str = ""  # of the commit
    token: str | None = None  # None: that of hf auth login, or HF_TOKEN


@dataclass(frozen=True)
class Upload:
    """The address of the commit, and what was exported for it; ``None`` of a folder that was there."""

    url: str
    exported: ExportedWeights | None


def push(run: Path, config: WeightsConfig, hub: HubConfig, out: Path | None = None, trusted: Sequence[str] = ()) -> Upload:
    """Export a run with a model card, to ``out`` or a folder for the time being, and upload that; or upload ``run`` as it is,
    if it is such a folder, with a model card if it has none. Whether the hub takes it is found out first. Raises ConfigError,
    also for files that are on the hub already, unless they are to be replaced; HubError; and what ``export_weights`` does."""
    remote = _Repository(hub)
    if pretrained.is_pretrained(run):
        if out is not None or config.half or config.video or config.checkpoint != "best":
            raise ConfigError(f"{run} is exported already, and is uploaded as it is. Leave out the other options")
        _require_nothing_private(run, trusted)
        files = _files(run)
        remote.require_free({CARD: None, **files})
        if CARD not in files:
            files[CARD] = card_of_folder(run, hub.repo_id, trusted).encode()
        return Upload(remote.upload(files), None)
    remote.require_free(dict.fromkeys((*_WEIGHTS, CARD)))
    with TemporaryDirectory(prefix="a3c_exp_") as folder:
        out = out or Path(folder) / "weights"
        exported = export_weights(run, out, replace(config, card=True, repo_id=hub.repo_id), trusted)
        return Upload(remote.upload(_files(out)), exported)


def download(repo_id: str, revision: str | None = None, token: str | None = None) -> Path:
    """The exported weights of a repository, in the hub's cache on this machine; a branch, a tag or a commit as ``revision``.
    Nothing of it is imported or executed. Without a network it is the copy of an earlier download, if there is one. Raises
    ConfigError, HubError."""
    library = require_hub()
    _require_repo_id(repo_id)
    with _talking(repo_id, revision=revision):
        unreachable = _why_unreachable(library, repo_id, revision, token)
        options = {"token": token, "library_name": "a3c_exp", "library_version": __version__}
        fetch = partial(library.hf_hub_download, repo_id, local_files_only=unreachable is not None, **options)
        try:
            folder = Path(fetch(pretrained.CONFIG_FILE, revision=revision)).parent  # named after its commit
            for name in _WEIGHTS:
                fetch(name, revision=folder.name)
        except library.errors.LocalEntryNotFoundError:
            raise unreachable or HubError(f"{repo_id} changed meanwhile. Try again") from None
    if unreachable is not None:
        print_notice(
            f"{library.constants.ENDPOINT} could not be reached; taken instead: an earlier download ({folder.name[:7]})"
        )
    return folder


def _why_unreachable(library: Any, repo_id: str, revision: str | None, token: str | None) -> Exception | None:
    """The error with which the hub does not answer at all, soon; ``None`` if it does. An answer may be an error, too."""
    try:
        library.HfApi(token=token).repo_info(repo_id, revision=revision, timeout=_CONNECT_SECONDS)
    except (_http(library).TransportError, library.errors.OfflineModeIsEnabled) as error:
        unreachable: Exception = error
        return unreachable
    return None


def require_hub() -> Any:
    """The package huggingface_hub; a ConfigError if it is not installed."""
    return import_extra("the Hugging Face hub", "huggingface_hub")


def _http(library: Any) -> Any:
    """What huggingface_hub talks HTTP with: httpx, or from its version 2 on httpx2."""
    return import_module(type(library.get_session().timeout).__module__.partition(".")[0])


class _Repository:
    """A repository on the hub, there or not yet."""

    def __init__(self, hub: HubConfig) -> None:
        huggingface_hub = require_hub()
        _require_repo_id(hub.repo_id)
        if not (hub.token or huggingface_hub.get_token()):
            raise ConfigError("you are not logged in to the Hugging Face hub. Type hf auth login, or set HF_TOKEN")
        self._hub, self._library = hub, huggingface_hub
        self._api = huggingface_hub.HfApi(token=hub.token, library_name="a3c_exp", library_version=__version__)
        self._head, self._there = "", dict[str, Any]()  # the newest commit and its files; empty: there is no repository yet
        with _talking(hub.repo_id, "Nothing was uploaded"), suppress(huggingface_hub.errors.RepositoryNotFoundError):
            self._head, self._there = self._listed(None)

    def require_free(self, files: Mapping[str, bytes | None]) -> None:
        """A ConfigError if the repository has one of ``files`` with another content; None: whatever that will be."""
        taken = [name for name, content in files.items() if name in self._there and not _is_same(self._there[name], content)]
        if taken and not self._hub.replace:
            raise ConfigError(
                f"{self._hub.repo_id} has {', '.join(taken)} already, and nothing is overwritten. Choose another name, or add "
                "--replace (replace=True), which keeps what is there in its history"
            )

    def upload(self, files: Mapping[str, bytes]) -> str:
        """Upload ``files`` by their names there, in one commit, and compare what the hub then says to have; returns the address
        of the commit."""
        hub, library = self._hub, self._library
        operations = [library.CommitOperationAdd(name, content) for name, content in files.items()]
        if REPLAY in self._there and REPLAY not in files:  # of other weights
            operations.append(library.CommitOperationDelete(REPLAY))
        message = hub.message or f"Upload weights with a3c_exp {__version__}"
        if not self._head:
            with _talking(hub.repo_id, "Nothing was uploaded"):
                self._api.create_repo(hub.repo_id, private=hub.private)
        with _talking(hub.repo_id, f"{hub.repo_id} has all of it or nothing"):
            commit = self._api.create_commit(hub.repo_id, operations, commit_message=message, parent_commit=self._head or None)
        with _talking(hub.repo_id, "It was uploaded, but could not be compared"):
            _, there = self._listed(commit.oid)
        if wrong := [name for name, content in files.items() if name not in there or not _is_same(there[name], content)]:
            raise HubError(
                f"{hub.repo_id} does not hold {', '.join(wrong)} as they were sent. Type the command again with --replace "
                "(replace=True)"
            )
        return str(commit.commit_url)

    def _listed(self, revision: str | None) -> tuple[str, dict[str, Any]]:
        """A commit, and its files by their names."""
        # Without its timeout it waits without a limit, whatever the session has.
        info = self._api.repo_info(self._hub.repo_id, revision=revision, files_metadata=True, timeout=_ANSWER_SECONDS)
        return info.sha, {file.rfilename: file for file in info.siblings or ()}


def _require_repo_id(repo_id: str) -> None:
    try:
        import_module("huggingface_hub.utils").validate_repo_id(repo_id)
        problem = "" if repo_id.count("/") == 1 else "it has no user or organization"
    except ValueError as error:
        problem = first_line(error)
    if problem:
        raise ConfigError(f"{repo_id!r} is no repository of the Hugging Face hub: {problem}. Try USER/NAME")


def _require_nothing_private(folder: Path, trusted: Sequence[str]) -> None:
    exported = pretrained.load(folder, trusted)
    shared, private = without_private_values(exported.config)
    if exported.config.logger != shared.logger:
        private.append("logger")
    trained, by = exported.provenance["trained"], exported.provenance["exported"]
    if any(map(has_private_arguments, (trained["command"], *trained["sessions"], by["command"]))):
        private.append(f"commands in {pretrained.PROVENANCE_FILE}")
    if private:
        raise ConfigError(
            f"{folder} has values that others need not see ({', '.join(private)}). Export the run again, or remove them"
        )


def _files(folder: Path) -> dict[str, bytes]:
    """All files of a folder by their names on the hub, but for hidden ones."""
    paths = {path.relative_to(folder): path for path in sorted(folder.rglob("*")) if path.is_file()}
    shown = {name: path for name, path in paths.items() if not any(part.startswith(".") for part in name.parts)}
    return {name.as_posix(): path.read_bytes() for name, path in shown.items()}


def _is_same(there: Any, content: bytes | None) -> bool:
    """Whether the hub has this content: git's hash of a small file, or SHA-256 of a large one."""
    if content is None:
        return False
    if there.lfs:
        return bool(there.lfs.sha256 == hashlib.sha256(content).hexdigest())
    return bool(there.blob_id == hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest())


@contextmanager
def _talking(repo_id: str, otherwise: str = "", revision: str | None = None) -> Iterator[None]:
    """Waits are limited, which those of huggingface_hub for an answer are not unless its user limits them; and each of the many
    kinds of errors that it raises is one line, with what follows ``otherwise``."""
    library = require_hub()
    session = library.get_session()
    before, limit = session.timeout, _http(library).Timeout
    if before == limit(None):
        session.timeout = limit(_ANSWER_SECONDS, connect=_CONNECT_SECONDS)
    try:
        yield
    except HubError:
        raise
    except Exception as error:
        raise _explained(error, repo_id, revision, f". {otherwise}" if otherwise else "") from error
    finally:
        session.timeout = before


def _explained(error: Exception, repo_id: str, revision: str | None, outcome: str) -> HubError:
    library = require_hub()
    constants, errors = library.constants, library.errors

    causes = [error]
    while (cause := causes[-1].__cause__) is not None and len(causes) < 10:
        causes.append(cause)  # type: ignore[arg-type]

    def is_any(*kinds: type[Exception]) -> bool:
        return any(isinstance(cause, kinds) for cause in causes)

    codes = [response.status_code for cause in causes if (response := getattr(cause, "response", None)) is not None]
    if is_any(errors.OfflineModeIsEnabled):
        return HubError(f"HF_HUB_OFFLINE keeps huggingface_hub from the network{outcome}. Set HF_HUB_OFFLINE=0")
    if is_any(errors.EntryNotFoundError):
        return HubError(f"{repo_id} holds no weights of a3c_exp: {', '.join(_WEIGHTS)}{outcome}. Name another repository")
    if is_any(errors.RevisionNotFoundError):
        return HubError(f"{repo_id} has no revision {revision}{outcome}. Name a branch, a tag or a commit")
    if is_any(errors.GatedRepoError):
        return HubError(f"{repo_id} is only for those whom its owner lets in{outcome}. Ask on its page")
    if is_any(errors.RepositoryNotFoundError):
        return HubError(
            f"there is no repository {repo_id}, or it is private and not yours{outcome}. Try another name, or hf auth login"
        )
    if {401, 403} & {*codes}:
        return HubError(f"the hub refuses {repo_id} to this token{outcome}. Type hf auth login with one that may write to it")
    if codes:
        return HubError(f"the hub answered with an error: {first_line(error)}{outcome}. Try again later")
    kind = f"{type(causes[-1]).__name__}: {first_line(causes[-1])}".rstrip(".")
    if not is_any(OSError, _http(library).TransportError):
        return HubError(f"huggingface_hub failed: {kind}{outcome}. Try another version of it")
    return HubError(
        f"{constants.ENDPOINT} could not be reached: {kind}{outcome}. Make sure of the network, and of HF_ENDPOINT if it is set"
    )
