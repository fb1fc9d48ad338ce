"""Linear algebra of the data terms: equations solved by iteration, norms, frequencies."""
