"""Demos: one dashboard in front of a class, screen by screen, with questions before answers. `w2s-lab demo` serves them."""
