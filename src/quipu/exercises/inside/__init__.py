"""What runs inside a worker, on behalf of a job that names it."""
