"""Certificates: proofs by interval arithmetic that cycles exist, and labelled estimates where there is no proof."""
