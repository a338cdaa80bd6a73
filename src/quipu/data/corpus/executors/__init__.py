"""Who carries out jobs: processes of this machine, or Ray."""
