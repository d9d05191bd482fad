"""The commands of `reinvert`, a module per group; `pipelines.cli` gives them their names."""
