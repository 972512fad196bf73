"""Named studies: grids of methods, tasks, pairs of models and seeds, and what was found in them."""
