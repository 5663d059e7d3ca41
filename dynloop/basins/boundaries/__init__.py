"""The border between basins: how mixed it is and how it scales, who shares it, how far it is, what lives on it."""
