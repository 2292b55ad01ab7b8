"""Files: the configuration and prompts that a run reads, its datasets, and what is exported."""
