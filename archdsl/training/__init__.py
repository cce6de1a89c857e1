"""Training: the recipe of a `train` block, the data it names, and the loop."""
