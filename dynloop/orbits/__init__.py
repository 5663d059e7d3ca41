"""Where one start goes: trajectories, recurrence, fixed points, regimes."""
