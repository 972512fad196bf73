"""Files, processes and memory: what every program of this kind needs; nothing here knows a model."""
