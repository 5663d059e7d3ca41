"""Whether the start matters: several starts, and limits of other prompts, compared."""
