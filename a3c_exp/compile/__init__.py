"""From a function of tensors to native code; knows neither models nor workers."""
