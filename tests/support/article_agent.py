"""The CarRacing article's network in the article's own layers."""

import torch
from torch import Tensor, nn

from a3c_exp.algorithm.types import Window
from a3c_exp.models.base import PolicyValue
from a3c_exp.models.conv_gru import ConvGRU


class Agent(nn.Module):
    """The article's listing, in training mode: one picture at a time, so that each BatchNorm's batch is that picture."""

    def __init__(self, model: ConvGRU, weights: dict[str, Tensor]) -> None:
        super().__init__()
        channels = model.convs[0].conv.in_channels
        self.norm1 = nn.BatchNorm2d(channels)
        self.convs = nn.ModuleList([nn.Conv2d(channels, 32, 4, stride=2, padding=1)])
        self.convs.extend(nn.Conv2d(32, 32, 3, stride=2, padding=1) for _ in range(3))
        self.prelus = nn.ModuleList(nn.PReLU() for _ in range(4))
        self.norm2 = nn.BatchNorm2d(32)
        self.gru = nn.GRUCell(model.cell.weight_ih.shape[1], model.cell.hidden_size)
        self.policy, self.value = nn.Linear(model.cell.hidden_size, 4), nn.Linear(model.cell.hidden_size, 1)
        with torch.no_grad():  # in the same order, so that gradients come in the same order
            for own, given in zip(self.parameters(), weights.values(), strict=True):
                own.copy_(given)
        self.train()

    def live(self, given: Window, bptt: int | None) -> PolicyValue:
        h, outputs = given.hidden_state.unsqueeze(0), []
        for t in range(len(given.reward)):
            if given.episode_start[t]:
                h = torch.zeros_like(h)
            if bptt is not None and t % bptt == 0:
                h = h.detach()
            data = self.norm1(given.observation[t].unsqueeze(0))
            for conv, prelu in zip(self.convs, self.prelus, strict=True):
                data = prelu(conv(data))
            h = self.gru(self.norm2(data).view(1, -1), h)
            outputs.append((self.policy(h)[0], self.value(h)[0, 0], h[0]))
        return PolicyValue(*(torch.stack(parts) for parts in zip(*outputs, strict=True)))
