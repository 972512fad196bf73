"""Demos: one dashboard in front of a class, screen by screen, a question before each answer."""
