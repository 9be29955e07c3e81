"""What several steps share: the kind of all steps, their inputs, and facts that are worked out once."""
