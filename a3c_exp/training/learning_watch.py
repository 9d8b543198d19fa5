"""Whether a run learns anything at first: what its diagnostics say without being looked at."""

from collections.abc import Mapping

_UPDATES = 1000  # after which a run should have begun to learn
_LINES = 3  # of metrics, at least, that say the same
_EXPLAINED_VARIANCE = 0.05  # up to which a critic is no better than a constant
_CLIPPED_NORM = 0.95  # of the limit: a mean norm above it says that nearly every gradient was clipped


class LearningWatch:
    """Watches the first lines of metrics of a run whose gradients are clipped to ``max_grad_norm``, if they are; ``normalized``
    says whether its rewards are already normalized. It speaks once, or never: as soon as the critic explains something, or
    gradients fit, it has seen enough."""

    def __init__(self, max_grad_norm: float | None, normalized: bool, updates: int = 0) -> None:
        self._max_grad_norm, self._normalized, self._lines = max_grad_norm, normalized, 0
        self._watching = max_grad_norm is not None and updates == 0  # a resumed run was watched before

    def message(self, updates: int, statistics: Mapping[str, float | None]) -> str | None:
        """What to tell the user at a line of metrics, after so many ``updates``, if anything."""
        if not self._watching or self._max_grad_norm is None:
            return None
        self._lines += 1
        explained, norm = statistics["explained_variance"] or 0.0, statistics["grad_norm_clipped"] or 0.0
        if explained > _EXPLAINED_VARIANCE or norm < _CLIPPED_NORM * self._max_grad_norm:
            self._watching = False
        elif updates >= _UPDATES and self._lines >= _LINES:
            self._watching = False
            scale = "" if self._normalized else "normalize.reward=true and (not for pictures) normalize.observation=true, or "
            return (
                "the critic explains none of the returns so far, and nearly every gradient is clipped to "
                f"max_grad_norm={self._max_grad_norm:g}: nothing is learned yet. Try {scale}a lower optimizer.lr"
            )
        return None
