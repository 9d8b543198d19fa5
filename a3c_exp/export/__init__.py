"""``python -m a3c_exp.export``: the weights of a run as a small folder, its policy as a file for other programs."""

from a3c_exp.system.lazy import lazy_exports

if not lazy_exports(__name__):
    from a3c_exp.export.check import Difference as Difference
    from a3c_exp.export.graph import PolicyGraph as PolicyGraph
    from a3c_exp.export.model_card import model_card as model_card
    from a3c_exp.export.policy_files import export_policy as export_policy
    from a3c_exp.export.weights import (
        ExportedWeights as ExportedWeights,
        WeightsConfig as WeightsConfig,
        add_card as add_card,
        export_weights as export_weights,
    )
