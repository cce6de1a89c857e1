"""Weights from elsewhere: state files read, and their tensors matched to a network's layers."""
