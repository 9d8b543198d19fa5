"""What tests of loggers share."""

import os
from typing import Any

import pytest


@pytest.fixture(scope="module")
def nobody_logged_in(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Neither the account nor the settings of the person who runs the tests."""
    home = tmp_path_factory.mktemp("home")
    with pytest.MonkeyPatch.context() as patch:
        for name in [name for name in os.environ if name.startswith("WANDB_")]:
            patch.delenv(name)
        patch.setenv("HOME", str(home))
        patch.setenv("NETRC", str(home / ".netrc"))
        patch.setattr("tempfile.tempdir", str(tmp_path_factory.mktemp("t")))
        yield
