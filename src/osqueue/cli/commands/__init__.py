"""The commands: their options and help. What each does is imported when it runs."""
