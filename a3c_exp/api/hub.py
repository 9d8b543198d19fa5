"""Policies that are shared on the Hugging Face hub."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from a3c_exp.api.policy import Policy


def push_to_hub(
    run: str | Path,
    repo_id: str,
    *,
    checkpoint: str = "best",
    half: bool = False,
    episodes: int = 100,
    seed: int = 1_000_003,
    video: bool = False,
    private: bool | None = None,
    replace: bool = False,
    commit_message: str = "",
    token: str | None = None,
    trust: Sequence[str] = (),
) -> str:
    """Upload a run's weights with a model card to the Hugging Face hub, as ``python -m a3c_exp.export RUN --push-to-hub`` does.

    Args:
        run: a run directory (of several seeds, one seed's), or a folder that ``a3c_exp.export`` wrote, which goes as it is.
        repo_id: ``user/name``; it is made if it is not there.
        checkpoint: ``best`` of the run's own evaluations, ``last``, or a file.
        half: whether the weights are stored in half precision.
        episodes: how many held-out ones the card's score is of, whose seeds follow from ``seed``.
        video: whether an episode is recorded for the card (extra ``video``).
        private: whether a new repository is for you alone; ``None``: as your account has it.
        replace: whether files that are there get new versions. Earlier ones stay in the repository's history.
        commit_message: what the commit is called.
        token: of the hub; ``None``: that of ``hf auth login``, or ``HF_TOKEN``.
        trust: modules that may be imported although the configuration that names them is not as you saved it (SECURITY.md).

    Returns:
        The address of the commit, which has all files: each was compared with what the hub says to have.

    Raises:
        ConfigError: huggingface_hub is not installed, nobody is logged in, or there are such files already.
        HubError: the hub was not reached, or refused; nothing was uploaded, unless the line says otherwise.
        RunDirectoryError: what ``a3c_exp.load`` says in the same place.
    """
    from a3c_exp.export.hub import HubConfig, push
    from a3c_exp.export.weights import WeightsConfig

    config = WeightsConfig(checkpoint, half, episodes, seed, card=True, video=video)
    hub = HubConfig(repo_id, private, replace, commit_message, token)
    return push(Path(run).expanduser(), config, hub, trusted=trust).url


def load_from_hub(
    repo_id: str, revision: str | None = None, *, token: str | None = None, trust: Sequence[str] = ()
) -> "Policy":
    """The policy of weights on the Hugging Face hub. They are a stranger's: nothing is executed that came with them, and code
    that their configuration names is only imported if it is this package's, or of a module that you ``trust`` (SECURITY.md).

    Args:
        repo_id: ``user/name``.
        revision: a branch, a tag or a commit; ``None``: the newest.
        token: of the hub, for private repositories; ``None``: that of ``hf auth login``, or ``HF_TOKEN``.

    Raises:
        ConfigError: huggingface_hub is not installed, or the configuration names code of others.
        HubError: the hub was not reached and there is no copy of an earlier download, or the repository holds no such weights.
        RunDirectoryError: the weights are damaged, or of another version.
    """
    from a3c_exp.api.policy import load
    from a3c_exp.export.hub import download

    return load(download(repo_id, revision, token), trust=trust)
