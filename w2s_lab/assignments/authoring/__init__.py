"""Makes the student version of a master notebook, and proves that nothing secret is left in it."""
