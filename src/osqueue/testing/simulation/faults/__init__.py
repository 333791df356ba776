"""What goes wrong: said as data, drawn from a seed, and carried out."""
