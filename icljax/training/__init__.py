"""One training step as a pure function, and what it is made of."""
