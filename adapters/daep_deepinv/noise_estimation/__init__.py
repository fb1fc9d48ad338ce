"""The noise of a measurement, estimated from the measurement."""
