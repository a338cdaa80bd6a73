"""Steps of the pipeline: values `document -> reason to drop | None` and `document -> document`."""
