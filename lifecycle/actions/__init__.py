"""Actions of migration jobs: one module an action, named by its file."""
