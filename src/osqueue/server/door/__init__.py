"""Who may call: tokens and roles, hosts, origins, TLS, and how often."""
