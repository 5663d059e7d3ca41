"""Ways to solve F^p(x) = x: Newton, Newton–Krylov, Anderson, stabilising transformations."""
