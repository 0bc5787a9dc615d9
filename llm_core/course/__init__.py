"""What the notebooks and the book need beside the core: quotes, checks, pictures."""
