"""First-order descent on a sequence of objectives, what every first-order method shares."""
