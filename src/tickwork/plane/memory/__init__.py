"""What agents remember: notes, facts, what happened, what was said, and what became of earlier runs."""
