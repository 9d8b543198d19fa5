"""What a run consists of: the schema of every key, composition with Hydra, and errors that say what to type instead."""
