"""What tests of the report share."""

import pytest

from a3c_exp.report.figures import curve_figures as figures
from a3c_exp.report.figures.plot_specs import PLOTS


@pytest.fixture
def few_figures(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two of the figures, for tests that are about something else: drawing is nearly all of a report's time."""
    monkeypatch.setattr(figures, "PLOTS", [plot for plot in PLOTS if plot.name in ("reward_by_step", "max_probability")])
