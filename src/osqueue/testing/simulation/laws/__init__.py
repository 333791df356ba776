"""What must hold: of each version of the state object, of each answer, and of each caller."""
