"""From a master notebook to the version that students get, with the proof that nothing secret is left in it."""
