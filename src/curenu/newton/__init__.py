"""The loop of cubic Newton steps that CuReNU and StoCuReNU share, and single Newton steps."""
