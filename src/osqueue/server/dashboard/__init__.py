"""The dashboard that a broker serves of itself."""
