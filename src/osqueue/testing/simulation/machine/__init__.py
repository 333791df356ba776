"""What a simulated world is made of: time, chance, the network, the store, and processes."""
