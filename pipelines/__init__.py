"""The stages of the DAG, one module each, and the command line that runs them."""
