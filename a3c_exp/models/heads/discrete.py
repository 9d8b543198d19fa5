"""The head of every policy over discrete actions."""

from torch import Tensor, nn

from a3c_exp.models.distributions import Distribution
from a3c_exp.models.heads.base import Head


class LogitsHead(Head):
    """Logits, and nothing else: Categorical, MultiCategorical and Bernoulli take them as they are."""

    def __init__(self, features: int, distribution: Distribution) -> None:
        super().__init__()
        self.distribution = distribution
        self.logits = nn.Linear(features, distribution.parameters_size)

    def forward(self, features: Tensor) -> Tensor:
        logits: Tensor = self.logits(features)
        return logits
