"""Training: examples, the step, the loop, and runs with what comes after them."""
