"""The noise of a measurement: what the physics states, what the measurement shows, and which of the two is assumed."""
