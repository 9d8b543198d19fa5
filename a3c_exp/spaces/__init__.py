"""Observation and action spaces: how their values become one flat array and back."""

from typing import TYPE_CHECKING

from a3c_exp.system.lazy import lazy_exports

if TYPE_CHECKING:
    from a3c_exp.spaces.codecs import action_decoder as action_decoder
    from a3c_exp.spaces.codecs import observation_encoder as observation_encoder
    from a3c_exp.spaces.flatten import leaf_spaces as leaf_spaces
else:
    __getattr__, __all__ = lazy_exports(__name__, action_decoder="codecs", leaf_spaces="flatten", observation_encoder="codecs")
