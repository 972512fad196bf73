"""The built-in world: its grammar, its tasks, and the ladder of models that were pre-trained on it."""
