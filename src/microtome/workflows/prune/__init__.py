"""Cut it down to what matters: rounds of removing channels and retraining, beside baselines, with a certificate."""
