"""(real, reconstruction) -> number: one file per metric family, `registry` lists them, `judges` holds the networks."""
