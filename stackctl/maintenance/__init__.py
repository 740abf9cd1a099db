"""Scripts for maintainers, which update generated files."""
