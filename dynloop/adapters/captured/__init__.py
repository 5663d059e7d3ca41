"""A block of any PyTorch model, captured from one real forward pass."""
