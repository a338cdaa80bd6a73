"""One small file per benchmark; each states its protocol."""
