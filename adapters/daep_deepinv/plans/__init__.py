"""The plan of a call: how it is made, and how it is run."""
