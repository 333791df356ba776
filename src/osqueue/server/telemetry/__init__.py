"""What a broker tells of itself: figures, traces, an access log."""
