"""Make a trained network forget chosen examples, close to what retraining would give."""
