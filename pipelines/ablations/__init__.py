"""The papers' ablations: variants of methods, trained and measured on an equal budget (see `core.config_ablations`)."""
