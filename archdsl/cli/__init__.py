"""The command line: arguments in, library called, results out."""
