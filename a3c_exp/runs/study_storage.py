"""A study's storage: the attributes in it that are not Optuna's own, and how it is opened, which alone imports Optuna."""

import os
import re
import time
from pathlib import Path
from typing import TYPE_CHECKING

from a3c_exp.system.errors import ConfigError, first_line

if TYPE_CHECKING:
    from optuna.storages import BaseStorage

STUDY_FILE = "study.json"
JOURNAL_FILE = "study.journal"
BEST_FOLDER = "best"
COMMAND_PREFIX = "As one command: "  # prefix of the command in the file of the best configuration

STUDY_SIGNATURE = "a3c_exp"  # user attribute of a study: what all its trials have in common

SEEDS, SEED_STD, REASON, COMMAND, DIRECTORY = "seeds", "spread", "reason", "command", "directory"
"""User attributes of a trial: each seed's values, their standard deviation, why it failed or was pruned, command, folder."""

RETRY_OF, RETRYABLE = "retry_of", "try_again"
"""User attributes of a trial: the number of the one that it repeats; that it died of no fault of its own."""

HEARTBEAT = "a3c_exp:heartbeat"
"""System attribute of a running trial: who works on it, and a number that changes as long as someone does."""

_CONNECT_SECONDS = 10
_LOCK_SECONDS = 15
_MADE_MEANWHILE = re.compile(r"already exists|unique constraint|duplicate (key|entry)", re.IGNORECASE)
"""What databases say to a process that makes the tables of a study while another one does."""
_URL = re.compile(r"^(\w+(?:\+\w+)?)://")


def without_password(storage: str) -> str:
    """A storage's address as it may be shown.

    >>> without_password("postgresql://me:secret@host/db")
    'postgresql://me:***@host/db'
    """
    return re.sub(r"(://[^:/@]*):[^@]*@", r"\1:***@", storage)


def journal_path(storage: str | None, directory: Path) -> Path | None:
    """The journal file that a study is kept in; ``None`` if it is kept in a database."""
    if storage is None:
        return directory / JOURNAL_FILE
    return Path(storage.removeprefix("journal:")) if storage.startswith("journal:") else None


def open_storage(storage: str | None, directory: Path) -> "BaseStorage":
    """Open ``None`` (a journal in ``directory``), ``journal:FILE`` or an SQLAlchemy URL. Raises ConfigError if it cannot."""
    import optuna

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    if (path := journal_path(storage, directory)) is not None:
        return _open_journal(path)
    assert storage is not None
    match = _URL.match(storage)
    shown = f"hydra.sweeper.storage={without_password(storage)}"
    if match is None:
        raise ConfigError(
            f"{shown} is no storage. Give null (a journal file in the study's directory), journal:FILE, or a database's URL "
            "such as sqlite:///study.db or postgresql://user:password@host/name"
        )
    kind = match.group(1).partition("+")[0]
    network = {"connect_timeout": _CONNECT_SECONDS}
    engine = {"connect_args": {"sqlite": {"timeout": 60}, "postgresql": network, "mysql": network}.get(kind, {})}
    try:
        for delay in (0.1, 0.5, 2.0):
            try:
                return optuna.storages.RDBStorage(storage, engine_kwargs=engine)
            except Exception as error:
                if not _MADE_MEANWHILE.search(str(error.__cause__ or error)):
                    raise
                time.sleep(delay)
        return optuna.storages.RDBStorage(storage, engine_kwargs=engine)
    except ImportError as error:
        cause = error.__cause__ or error
        missing = getattr(cause, "name", None) or "psycopg"
        packages = {"psycopg": "'psycopg[binary]'", "psycopg2": "psycopg2-binary", "MySQLdb": "mysqlclient"}
        package = packages.get(missing, missing)
        raise ConfigError(f"{shown} needs a driver that is not installed: {cause}. Try pip install {package}") from None
    except Exception as error:  # every database has its own
        reason = first_line(error.__cause__ or error)
        raise ConfigError(f"{shown} cannot be reached: {reason}. Start the database, or leave out study.storage") from None


def _open_journal(path: Path) -> "BaseStorage":
    from optuna.storages import JournalStorage
    from optuna.storages.journal import JournalFileBackend, JournalFileOpenLock

    class RepairingLock(JournalFileOpenLock):
        """The holder first removes the partial line of a killed writer, which would make the next line unreadable. Optuna's
        other lock, a link to the journal, is never taken away from a dead holder once the folder was moved."""

        def acquire(self) -> bool:
            taken = super().acquire()
            _truncate_partial_line(path)
            return taken

    try:
        backend = JournalFileBackend(str(path), RepairingLock(str(path.absolute()), grace_period=_LOCK_SECONDS))
        return JournalStorage(backend)
    except OSError as error:
        reason = error.strerror or error
        raise ConfigError(
            f"the study's journal {path} cannot be opened: {reason}. Free some space, or choose another folder"
        ) from None
    except Exception as error:  # whatever reading a file of another kind raises
        raise ConfigError(f"{path} is no study's journal: {first_line(error)}. Choose another study.storage") from None


def _truncate_partial_line(path: Path) -> None:
    with path.open("rb+") as file:
        file.seek(max(0, file.seek(0, os.SEEK_END) - 1))
        if file.read(1) not in (b"", b"\n"):
            file.seek(0)
            file.truncate(file.read().rfind(b"\n") + 1)
