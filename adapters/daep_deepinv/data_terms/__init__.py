"""Data terms and their proximal steps."""
