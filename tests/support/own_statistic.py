"""Statistics that somebody declares outside the package, each by one call."""

from a3c_exp.algorithm import Statistic

advantage_size = Statistic(
    "advantage_size", "Mean |R - V| over steps.", unit="reward", compute=lambda window: window.error.abs()
)
longest_window = Statistic(
    "longest_window", "Steps of the longest window.", "max", compute=lambda window: window.window.valid.sum()
)
not_a_statistic = 3
loss_again = Statistic("loss", "A name that is taken.", compute=lambda window: window.error)
