"""What a run is made of: the typed schema of every key, composing it with Hydra, and the errors that say what to type instead."""
