"""``python -m a3c_exp.dashboard``: runs, sweeps, studies and reports on a live page, read from their files alone."""

from a3c_exp.system.lazy import lazy_exports

if not lazy_exports(__name__):
    from a3c_exp.dashboard.outputs_index import OutputsIndex as OutputsIndex
    from a3c_exp.dashboard.server import DashboardServer as DashboardServer
