"""The border between basins: how mixed it is, how it scales, whether basins share it, how far it is, what lives on it."""
