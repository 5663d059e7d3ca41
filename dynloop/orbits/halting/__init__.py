"""When a looped model would have stopped by itself, and whether that was right."""
