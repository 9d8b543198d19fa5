"""Observation and action spaces: how their values become one flat array and back."""

from a3c_exp.system.lazy import lazy_exports

if not lazy_exports(__name__):
    from a3c_exp.spaces.codecs import action_decoder as action_decoder, observation_encoder as observation_encoder
    from a3c_exp.spaces.flatten import leaf_spaces as leaf_spaces
