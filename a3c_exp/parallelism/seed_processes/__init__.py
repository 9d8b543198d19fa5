"""The seeds of one training, in blocks over several processes."""
