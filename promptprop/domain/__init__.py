"""The field's words as values and pure functions: no I/O, no clock, no logging; randomness is an argument."""
