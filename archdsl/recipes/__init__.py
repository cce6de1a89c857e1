"""Recipes: what a `train` block may say, read and checked. Nothing here imports torch."""
