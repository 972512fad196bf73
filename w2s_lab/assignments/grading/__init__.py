"""From what students hand in to what their code computes, each in a guarded process of its own."""
